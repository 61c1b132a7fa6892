"""The folder of a training run: what made it, and whether a run may continue there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.models import identify_model
from sodbench.models.processing import Processing
from sodbench.output_folder import FolderKind, read_json
from sodbench.runners.training.data import TrainingSet
from sodbench.runners.training.log import BOARD, CURVE, LOG, read_log
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import Recipe
from sodbench.runners.training.state import delete_states, list_states

RUN, RECIPE, STATES = "run.json", "recipe.toml", "state"
FINAL, BEST = "final.pth", "best.pth"
VALIDATION = "validation.txt"


def _read_run(path: Path) -> Mapping[str, Any]:
    run = read_json(path)
    best = run.get("best")
    pair = isinstance(best, list) and len(best) == 2 and all(map(_is_number, best))
    valid = (
        "best" in run
        and isinstance(run.get("finished"), bool)
        and isinstance(run.get("updates"), int)
        and isinstance(run.get("best_by"), str)
        and _is_texts(run.get("problems"))
        and _is_texts(run.get("command"))
        and isinstance(run.get("directory"), str)
        and (best is None or pair)
    )
    if not valid:
        raise ValueError("a field is missing or has the wrong type")
    return run


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RUN_FOLDER = FolderKind(
    content="a training run",
    purpose="training",
    manifest=RUN,
    read=_read_run,
    # these are created before run.json, and a kill may come in between
    is_foreign=lambda path: path.name not in (STATES, BOARD),
    labels={
        "model": "the model",
        "source_sha256": "the hash of the model's file",
        "data.name": "the training set",
        "data.pairs": "its number of pairs",
        "data.fingerprint": "the fingerprint of its files",
        "start.backbone": "the hash of the backbone",
        "start.checkpoint": "the hash of the checkpoint",
    },
)


def run_identity(training: Training, processing: Processing, data: TrainingSet) -> dict[str, Any]:
    """Return what a resumed run must share with the one that it continues.

    Parameters
    ----------
    training : Training
    processing : Processing
        How images enter the network, and what its output means.
    data : TrainingSet

    Returns
    -------
    dict
        Part of the content of ``run.json``.
    """
    source = training.source
    name, source_sha256 = identify_model(source.name)
    start = {"backbone": training.backbone, "checkpoint": source.checkpoint}
    return {
        "recipe": training.recipe.to_dict(),
        "model": name,
        "model_arguments": dict(source.options),
        "processing": processing.to_dict(),
        "source_sha256": source_sha256,
        "data": {"name": data.name, "pairs": len(data), "fingerprint": data.fingerprint},
        "start": {kind: file_hash(path) if path else None for kind, path in start.items()},
    }


def read_command(out: Path) -> tuple[list[str], Path]:
    """Return the command line with which the run in a folder was started or last resumed.

    Parameters
    ----------
    out : Path

    Returns
    -------
    words : list of str
        Those after ``sodbench``; empty if there is no run, or none that the command line started.
    directory : Path
        The working directory, where relative paths among the words begin.

    Raises
    ------
    SodbenchError
        If the folder holds something else.
    """
    run = RUN_FOLDER.read_manifest(out)
    return (run["command"], Path(run["directory"])) if run else ([], Path())


def check_recipe_fields(out: Path, run: Mapping[str, Any], recipe: Recipe) -> None:
    """Check that the recipe of a run has the fields of this version of sodbench.

    Parameters
    ----------
    out : Path
        The run's folder.
    run : mapping
        The content of its ``run.json``.
    recipe : Recipe
        Of the training that resumes it.

    Raises
    ------
    SodbenchError
        Naming the fields that only one of both has.
    """
    recorded, fields = run.get("recipe"), recipe.to_dict().keys()
    if isinstance(recorded, Mapping) and recorded.keys() != fields:
        former, new = sorted(recorded.keys() - fields), sorted(fields - recorded.keys())
        raise SodbenchError(
            f"{out}: holds a training run of another version of sodbench ({run.get('made_by', 'not recorded')}): its "
            f"recipe has {', '.join(former) or 'no other fields'} and lacks {', '.join(new) or 'nothing'}. Resume it "
            "with that version, or choose another folder"
        )


def made_no_update(out: Path) -> bool:
    """Whether the run in a folder has nothing to continue from: no state, no weights, no update in its log.

    Parameters
    ----------
    out : Path

    Returns
    -------
    bool
    """
    if list_states(out / STATES) or (out / FINAL).exists() or (out / BEST).exists():
        return False
    return not any("loss" in record for record in read_log(out))


def delete_run(out: Path) -> None:
    """Delete what a training wrote, and nothing else.

    Parameters
    ----------
    out : Path
        The run's folder.
    """
    for name in (RUN, RECIPE, VALIDATION, LOG, CURVE, FINAL, BEST):
        (out / name).unlink(missing_ok=True)
    delete_states(out / STATES)
