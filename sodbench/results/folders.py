"""Find stored results on disk."""

import os
from collections.abc import Iterable
from pathlib import Path

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.folders import walk
from sodbench.results.older import complete_result, names_added_since
from sodbench.results.result import PARTS_FOLDER, RESULT_FILE, Result
from sodbench.results.result_file import load_result


def load_results(paths: Path | str | Iterable[Path | str]) -> list[Result]:
    """Load every result at or below one or several folders.

    Parameters
    ----------
    paths : path or iterable of path
        Folders, or the ``result.json`` files themselves; links are followed.

    Returns
    -------
    list of Result
        In the order of the paths and of the folders' names; a result that is reached in two ways is given once.
        A warning reports the folders of runs that were not finished. What a result lacks because it was stored before a
        metric was added is computed from its counts.

    Raises
    ------
    SodbenchError
        For a path that holds no result, and for a result that was modified or cannot be read.

    Examples
    --------
    >>> results = load_results("results/")  # doctest: +SKIP
    >>> {(r.method, r.dataset): r.metrics["mae"] for r in results}  # doctest: +SKIP
    """
    folders: dict[Path, Path] = {}
    for path in map(Path, [paths] if isinstance(paths, (Path, str)) else paths):
        for folder in _result_folders_at(path.parent if path.is_file() else path):
            folders.setdefault(folder.resolve(), folder)
    stored = [load_result(folder) for folder in folders.values()]
    results = [complete_result(result) for result in stored]
    _report_completed(stored, results)
    return results


def _report_completed(stored: list[Result], results: list[Result]) -> None:
    """Report what was computed for results that were stored before a metric was added."""
    older = [one for one, result in zip(stored, results, strict=True) if one is not result]
    if older:
        names = dict.fromkeys(name for result in older for name in names_added_since(result))
        logger.info(
            f"{len(older)} of {len(stored)} result(s) do not hold {', '.join(names)}, which were added after they were "
            "stored and are computed from their counts; the same 'sodbench eval' again stores them"
        )


def _result_folders_at(path: Path) -> list[Path]:
    way_out = "'sodbench eval PREDS GT -o DIR' stores results"
    if not path.is_dir():
        raise SodbenchError(f"{path}: no such folder of results; {way_out}")
    folders = result_folders(path)
    if not folders:
        raise SodbenchError(f"{path}: no results below it (no {RESULT_FILE}); {way_out}")
    for folder in _unfinished_folders(path):
        logger.warning(
            f"{folder}: has no result yet, because its run was not finished ({PARTS_FOLDER}), and is left out; "
            "run the same command again"
        )
    return folders


def result_folders(path: Path) -> list[Path]:
    """Return the folders at or below a folder that hold a result, ordered by name; links are followed.

    Parameters
    ----------
    path : Path
        The folder to search.

    Returns
    -------
    list of Path
    """
    return [f for f, obstacle in walk(path) if not obstacle and (f / RESULT_FILE).is_file()]


def _unfinished_folders(path: Path) -> list[Path]:
    """The folders at or below a folder in which a run was started that has stored no result yet."""
    return [
        f
        for f, obstacle in walk(path)
        if not obstacle and os.path.lexists(f / PARTS_FOLDER) and not (f / RESULT_FILE).is_file()
    ]


def warn_of_shards(results: Iterable[Result]) -> None:
    """Warn of results that hold only a part of a dataset's pairs, where whole results are expected.

    Parameters
    ----------
    results : iterable of Result
        The results that are about to be used as whole ones.
    """
    for result in results:
        if result.policy.shard:
            logger.warning(
                f"{result.folder}: is shard {result.policy.shard_text} of {result.method} on {result.dataset}, whose "
                "numbers are of a part of the images; join all shards first (sodbench merge)"
            )
