"""A training's folder: what made it, and whether a run may go on there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sodbench import __version__
from sodbench.errors import SodbenchError
from sodbench.models import file_sha256, model_identity
from sodbench.results import write_text
from sodbench.runners.recipe import Recipe
from sodbench.runners.training_data import TrainingSet
from sodbench.runners.training_log import BOARD, CURVE, LOG
from sodbench.runners.training_state import delete_states

RUN, RECIPE, STATES = "run.json", "recipe.toml", "state"
FINAL, BEST = "final.pth", "best.pth"


def run_identity(
    recipe: Recipe, model: str, data: TrainingSet, start: Mapping[str, Path | None]
) -> dict[str, Any]:
    """What a resumed run must share with the one it goes on with; ``start``: its files of weights by kind."""
    name, source_sha256 = model_identity(model)
    return {
        "recipe": recipe.plain(),
        "model": name,
        "source_sha256": source_sha256,
        "data": {"name": data.name, "pairs": len(data), "fingerprint": data.fingerprint},
        "start": {kind: file_sha256(path) if path else None for kind, path in start.items()},
    }


def read_run(out: Path) -> dict[str, Any] | None:
    """What ``run.json`` says of the run in a folder; None where none was begun.

    Raises :class:`SodbenchError` where it cannot be read, or other files are there instead.
    """
    path = out / RUN
    try:
        if not path.exists():
            if out.exists() and {file.name for file in out.iterdir()} - {STATES, BOARD}:
                raise SodbenchError(
                    f"{out}: holds other files than a training run; choose another folder"
                )
            return None
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SodbenchError(f"{path}: cannot be read ({error}); choose another folder") from error
    if not isinstance(run, dict) or not run.keys() >= {"finished", "updates", "best"}:
        raise SodbenchError(f"{path}: not of a training run; choose another folder")
    return run


def refuse_another_run(out: Path, before: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise :class:`SodbenchError`, naming what differs, unless the run there has this identity."""
    differences = [
        f"{key} {before.get(key)} there, {value} now"
        for key, value in identity.items()
        if key != "recipe" and before.get(key) != value
    ]
    recipe = before.get("recipe", {})
    differences += [
        f"recipe {key} = {recipe.get(key)} there, {value} now"
        for key, value in identity["recipe"].items()
        if recipe.get(key) != value
    ]
    if differences:
        raise SodbenchError(
            f"{out}: holds a training made otherwise: {'; '.join(differences)}. Choose another folder, or "
            "resume with what it was begun with"
        )


def write_run(out: Path, content: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    whole = {"made_by": f"sodbench {__version__}", **content}
    write_text(out / RUN, json.dumps(whole, indent=2) + "\n")


def forget_run(out: Path) -> None:
    """Delete what a training wrote, and nothing else."""
    for name in (RUN, RECIPE, LOG, CURVE, FINAL, BEST):
        (out / name).unlink(missing_ok=True)
    delete_states(out / STATES)
