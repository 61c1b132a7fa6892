"""Stored results: what a result folder holds, and how it is read."""

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
    versions,
    warn_of_shards,
)

__all__ = [
    "COUNTS",
    "FILE",
    "JOURNAL",
    "TABLE",
    "Result",
    "build_result",
    "derive_result",
    "differences",
    "digest_names",
    "find_results",
    "load_result",
    "n_resized",
    "result_folders",
    "save_result",
    "versions",
    "warn_of_shards",
]
