"""Stored results: what a result folder holds, and how it is read."""

from sodbench.results.policy import AppliedPolicy, Policy
from sodbench.results.result import (
    COUNTS,
    FILE,
    JOURNAL,
    TABLE,
    Result,
    build_result,
    derive_result,
    differences,
    digest_names,
    find_results,
    load_result,
    n_resized,
    result_folders,
    save_result,
    warn_of_shards,
)
from sodbench.results.signature import Signature

__all__ = [
    "COUNTS",
    "FILE",
    "JOURNAL",
    "TABLE",
    "AppliedPolicy",
    "Policy",
    "Result",
    "Signature",
    "build_result",
    "derive_result",
    "differences",
    "digest_names",
    "find_results",
    "load_result",
    "n_resized",
    "result_folders",
    "save_result",
    "warn_of_shards",
]
