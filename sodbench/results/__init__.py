"""Stored results: what a result folder holds, and how it is written and read."""

from sodbench.results.consistency import find_contradictions, find_differences, states
from sodbench.results.derivation import ResultInfo, count_resized, derive_result, digest_names
from sodbench.results.folders import load_results, result_folders, warn_of_shards
from sodbench.results.frame import to_frame
from sodbench.results.policy import AppliedPolicy, Policy
from sodbench.results.result import COUNTS_FILE, PARTS_FOLDER, RESULT_FILE, SCORES_FILE, Result
from sodbench.results.result_file import load_result, save_result
from sodbench.results.signature import Signature

__all__ = [
    "COUNTS_FILE",
    "PARTS_FOLDER",
    "RESULT_FILE",
    "SCORES_FILE",
    "AppliedPolicy",
    "Policy",
    "Result",
    "ResultInfo",
    "Signature",
    "count_resized",
    "derive_result",
    "digest_names",
    "find_contradictions",
    "find_differences",
    "load_result",
    "load_results",
    "result_folders",
    "save_result",
    "states",
    "to_frame",
    "warn_of_shards",
]
