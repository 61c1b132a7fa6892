"""A training's folder: what made it, and whether a run may continue there."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.files import (
    file_hash,
    is_temporary,
    remove_stale_temporaries,
    write_error,
    write_text,
)
from sodbench.models import identify_model
from sodbench.runners.training.data import TrainingSet
from sodbench.runners.training.log import BOARD, CURVE, LOG, read_log
from sodbench.runners.training.recipe import Recipe
from sodbench.runners.training.state import delete_states, has_states
from sodbench.version import __version__

RUN, RECIPE, STATES = "run.json", "recipe.toml", "state"
FINAL, BEST = "final.pth", "best.pth"


def run_identity(
    recipe: Recipe, model: str, data: TrainingSet, start: Mapping[str, Path | None]
) -> dict[str, Any]:
    """What a resumed run must share with the one it continues; ``start``: its files of weights by kind."""
    name, source_sha256 = identify_model(model)
    return {
        "recipe": recipe.plain(),
        "model": name,
        "source_sha256": source_sha256,
        "data": {"name": data.name, "pairs": len(data), "fingerprint": data.fingerprint},
        "start": {kind: file_hash(path) if path else None for kind, path in start.items()},
    }


def read_run(out: Path) -> dict[str, Any] | None:
    """What ``run.json`` records of the run in a folder; None where there is no run.

    Raises :class:`SodbenchError` where it cannot be read, or the folder holds other files instead. What a killed
    run left half written does not count.
    """
    path = out / RUN
    try:
        if not path.exists():
            held = {file.name for file in out.iterdir()} if out.exists() else set()
            if any(name not in (STATES, BOARD) and not is_temporary(name) for name in held):
                raise SodbenchError(
                    f"{out}: holds other files than a training run; choose another folder"
                )
            return None
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SodbenchError(f"{path}: cannot be read ({error}); choose another folder") from error
    if not (isinstance(run, dict) and _is_of_a_training(run)):
        raise SodbenchError(f"{path}: not of a training run; choose another folder")
    return run


def _is_of_a_training(run: Mapping[str, Any]) -> bool:
    """Whether the fields that a resumed run reads are there and have the right types."""
    best, problems = run.get("best"), run.get("problems", [])
    best_by = run.get("best_by", "")
    return (
        "best" in run
        and isinstance(run.get("finished"), bool)
        and isinstance(run.get("updates"), int)
        and isinstance(best_by, str)
        and isinstance(problems, list)
        and all(isinstance(problem, str) for problem in problems)
        and (
            best is None or (isinstance(best, list) and len(best) == 2 and all(map(_number, best)))
        )
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def made_no_update(out: Path) -> bool:
    """Whether the run in a folder has nothing to continue from: no state, no weights, no update in its log."""
    if has_states(out / STATES) or (out / FINAL).exists() or (out / BEST).exists():
        return False
    return not any("loss" in record for record in read_log(out))


@contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Keep other processes from training in the folder; raises :class:`SodbenchError` where one does.

    Where the system or the file system has no such locks, nothing is kept.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise write_error(out, error) from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SodbenchError(
                f"{out}: another process is training there; wait for it, or choose another folder"
            ) from None
        except OSError:  # some network file systems lock no folders
            pass
        yield
    finally:
        os.close(folder)


def refuse_another_run(out: Path, before: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise :class:`SodbenchError`, naming what differs, unless the run there has this identity."""
    if changes := _changes(before, identity):
        raise SodbenchError(
            f"{out}: holds a run that was started differently: {'; '.join(changes)}. Choose another folder, or "
            f"resume with what it was started with ({RUN} and {RECIPE} there record it)"
        )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities of :func:`run_identity`, in words."""
    changes = []
    if before.get("model") != now["model"]:
        changes.append(f"the model was {before.get('model')}, is {now['model']} now")
    elif before.get("source_sha256") != now["source_sha256"]:
        changes.append(f"the file of the model {now['model']} has changed")
    data = _table(before, "data")
    if data != now["data"]:
        there, here = (
            f"{of_run.get('name')} ({of_run.get('pairs')} pairs)" for of_run in (data, now["data"])
        )
        same = f"the files of the training set {here} have changed"
        changes.append(same if there == here else f"the training set was {there}, is {here} now")
    start = _table(before, "start")
    if start.keys() != now["start"].keys():
        changes.append("the weights that it started from are not recorded")
    for kind, sha256 in now["start"].items():
        if start.get(kind) == sha256:
            continue
        if sha256 is None:
            changes.append(f"a {kind} was given, none is now")
        elif start.get(kind) is None:
            changes.append(f"no {kind} was given, one is now")
        else:
            changes.append(f"the {kind} is another file")
    recipe = _table(before, "recipe")
    changes += [
        f"the recipe's {key} was {recipe.get(key)}, is {value} now"
        for key, value in now["recipe"].items()
        if recipe.get(key) != value
    ]
    return changes


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def write_run(out: Path, content: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    whole = {"made_by": f"sodbench {__version__}", **content}
    write_text(out / RUN, json.dumps(whole, indent=2) + "\n")


def remove_leftovers(out: Path) -> None:
    """Delete what killed runs left half written in a training's folder."""
    for folder in (out, out / STATES):
        remove_stale_temporaries(folder)


def forget_run(out: Path) -> None:
    """Delete what a training wrote, and nothing else."""
    for name in (RUN, RECIPE, LOG, CURVE, FINAL, BEST):
        (out / name).unlink(missing_ok=True)
    remove_leftovers(out)
    delete_states(out / STATES)
