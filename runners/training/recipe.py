"""Recipes: everything that decides the result of a training, in one printable value.

A recipe can be printed, changed (``--set learning_rate=1e-4``) and loaded from TOML, and is saved with every run.
``reference`` is the protocol of the CSF authors, step for step.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.toml import parse_assignment, read_toml

# The values of the fields that name a choice. The keys of OPTIMIZERS, SCHEDULES and LOSSES are repeated, because a recipe
# is printed and checked without PyTorch.
CHOICES = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("steps", "cosine", "constant"),
    "remainder": ("carry", "drop", "flush"),
    "loss": ("bce-sum", "bce", "bce-iou", "structure"),
    "initialise": ("model", "kaiming"),
    "batching": ("auto", "exact", "pad"),
    "memory_format": ("auto", "channels_last", "contiguous"),
    "precision": ("auto", "fp32", "tf32", "bf16"),
}

# The smallest and largest value of a field, or of each of its values. Outside them a training cannot run.
RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (0, 1e3),
    "weight_decay": (0, 1e3),
    "epochs": (1, 100_000),
    "milestones": (0, 100_000),
    "warmup": (0, 10**9),
    "clip": (0, 1e12),
    "accumulate": (1, 100_000),
    "crop": (0, 1),
    "size": (0, 8192),
    "scales": (0, 8),
    "sub_batch": (1, 100_000),
    "seed": (0, 2**63 - 1),
}

# Fields that may not be 0 either.
POSITIVE = ("learning_rate", "scales")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are the reference protocol.

    Attributes
    ----------
    name : str
    optimizer : str
        ``adam`` (L2 in the gradient), ``adamw``, or ``sgd`` (momentum 0.9, Nesterov).
    learning_rate, weight_decay : float
        On every trainable tensor.
    epochs : int
        Passes over the training images.
    schedule : str
        ``steps``: times 0.1 at the end of each epoch index in ``milestones``; ``cosine``: to zero over all updates;
        ``constant``.
    milestones : tuple of int
        Epoch indices, counted from 0.
    restart_optimizer : bool
        Restart the optimiser's moments at each milestone, as the reference does.
    warmup : int
        Updates over which the learning rate rises from zero.
    clip : float
        Largest gradient norm; 0 does not change gradients.
    accumulate : int
        Images of one update.
    remainder : str
        What happens to the images that are left over at the end of an epoch. ``carry`` is the reference's quirk: they
        are dropped but stay counted, so the first update of the next epoch comes early, on fewer images; ``drop``:
        they are dropped; ``flush``: they make a last, smaller update.
    loss : str
        ``bce-sum``: cross-entropy summed over pixels; ``bce``: its mean over pixels; ``bce-iou``: that plus soft IoU;
        ``structure``: weighted cross-entropy + weighted IoU (Wei et al., F3Net, AAAI 2020). Every loss is summed over
        the images of the update and divided by ``accumulate``.
    flip : bool
        Mirror half of the images.
    crop : float
        Smallest share of the shorter side that a random square crop keeps; 0 keeps the whole image.
    size : int
        Side of the square to which images are resized; 0 keeps their own size.
    scales : tuple of float
        One factor of the size is drawn for each update (multi-scale training); empty for none.
    frozen : bool
        Batch normalisation keeps its statistics, and what the network's author froze stays frozen; False trains
        everything.
    initialise : str
        ``model``: as the network's factory leaves it; ``kaiming``: draw the convolutions of its backbone (``base``; all
        of them without one) by Kaiming's rule, for training without a backbone file.
    sub_batch : int
        Maximum number of images run together; 1 runs them one by one, as the reference does. This and the next four
        change the result by rounding only, as long as batch normalisation is frozen, which otherwise takes its
        statistics from the images that run together.
    batching : str
        Which images of an update run together. ``exact``: those of equal size; ``pad``: all of them, padded to a
        common size, for networks that declare ``handles_padding``; ``auto``: ``pad`` on CUDA if the network can,
        else ``exact``.
    precision : str
        ``fp32`` (IEEE); ``tf32`` (CUDA: TF32 in convolutions, IEEE in matrix products); ``bf16`` (autocast);
        ``auto``: what the reference's own script gets, ``tf32`` on CUDA devices that have it, else ``fp32``.
    memory_format : str
        Of weights and images: ``channels_last``, ``contiguous``, or ``auto``: the first on CUDA, where it is 1.5 times
        as fast, else the second.
    compiled : bool
        Use ``torch.compile``.
    seed : int
        Of the order, the augmentations and the initialisation.

    Raises
    ------
    SodbenchError
        Naming every value that is not allowed.
    """

    name: str = "reference"
    optimizer: str = "adam"
    learning_rate: float = 5e-5
    weight_decay: float = 5e-4
    epochs: int = 24
    schedule: str = "steps"
    milestones: tuple[int, ...] = (15,)
    restart_optimizer: bool = True
    warmup: int = 0
    clip: float = 0.0
    accumulate: int = 10
    remainder: str = "carry"
    loss: str = "bce-sum"
    flip: bool = True
    crop: float = 0.0
    size: int = 0
    scales: tuple[float, ...] = ()
    frozen: bool = True
    initialise: str = "model"
    sub_batch: int = 10
    batching: str = "auto"
    precision: str = "auto"
    memory_format: str = "auto"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{field} = {getattr(self, field)!r}: one of {', '.join(allowed)}"
            for field, allowed in CHOICES.items()
            if getattr(self, field) not in allowed
        ]
        for field, (least, largest) in RANGES.items():
            value = getattr(self, field)
            numbers = value if isinstance(value, tuple) else (value,)
            positive = field in POSITIVE
            # written so that nan, which is neither below nor above anything, fails
            if not all(least <= n <= largest and (n > 0 or not positive) for n in numbers):
                lower = "above 0" if positive else f"at least {least}"
                problems.append(f"{field} = {value}: must be {lower} and at most {largest:.12g}")
        if problems:
            raise SodbenchError(f"recipe {self.name}: " + "; ".join(problems))

    def to_toml(self) -> str:
        """Return the recipe as TOML, one ``key = value`` per line; `load_recipe` reads it."""
        return "".join(f"{key} = {_format_toml(value)}\n" for key, value in self.to_dict().items())

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, strings and lists."""
        fields = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


# For small datasets without a backbone file
_SCRATCH = Recipe(
    name="scratch",
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-4,
    epochs=40,
    schedule="cosine",
    warmup=20,
    accumulate=8,
    remainder="flush",
    loss="bce-iou",
    crop=0.7,
    size=224,
    frozen=False,
    initialise="kaiming",
    memory_format="channels_last",
)
# What ``sodbench run --sample`` uses: a few minutes on two CPU cores
_SAMPLE = dataclasses.replace(
    _SCRATCH, name="sample", epochs=3, warmup=10, remainder="drop", crop=0.8, size=96
)
RECIPES = {recipe.name: recipe for recipe in (Recipe(), _SCRATCH, _SAMPLE)}


def load_recipe(name_or_file: str = "reference", changes: Iterable[str] = ()) -> Recipe:
    """Load a recipe.

    Parameters
    ----------
    name_or_file : str
        A key of `RECIPES`, or a TOML file of ``key = value`` lines; ``base = "scratch"`` in it names the recipe whose
        values it changes (default: ``reference``).
    changes : iterable of str
        Further changes, as ``KEY=VALUE``.

    Returns
    -------
    Recipe

    Raises
    ------
    SodbenchError
        For unknown names, keys and values.
    """
    if name_or_file in RECIPES:
        recipe = RECIPES[name_or_file]
    elif name_or_file.endswith(".toml") or Path(name_or_file).is_file():
        recipe = _from_toml(Path(name_or_file))
    else:
        raise SodbenchError(
            f"unknown recipe {name_or_file!r}: one of {', '.join(RECIPES)}, or a .toml file"
        )
    return change_recipe(
        recipe, dict(parse_assignment("--set", change, "epochs=10") for change in changes)
    )


def change_recipe(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """Return a copy of a recipe with other values.

    Parameters
    ----------
    recipe : Recipe
    values : dict
        New values by field.

    Returns
    -------
    Recipe

    Raises
    ------
    SodbenchError
        For unknown fields, and values of the wrong type or outside the allowed range.
    """
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise SodbenchError(
            f"a recipe has no {', '.join(map(repr, unknown))}; it has {', '.join(fields)}"
        )
    converted = {key: _convert(key, getattr(recipe, key), v) for key, v in values.items()}
    return dataclasses.replace(recipe, **converted)


def _from_toml(path: Path) -> Recipe:
    table = read_toml(path, SodbenchError(f"{path}: no such recipe file"))
    base = table.pop("base", "reference")
    if base not in RECIPES:
        raise SodbenchError(f"{path}: base = {base!r}: one of {', '.join(RECIPES)}")
    try:
        return change_recipe(RECIPES[base], {"name": path.stem} | table)
    except SodbenchError as error:
        raise SodbenchError(f"{path}: {error}") from error


def _convert(key: str, current: Any, value: Any) -> Any:
    if isinstance(current, tuple) and isinstance(value, list):
        number = int if key == "milestones" else float
        if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
            return tuple(number(v) for v in value)
    elif isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is type(current):
        return value
    expected = {tuple: "a list of numbers", bool: "true or false", str: "text"}
    kind = expected.get(type(current), "a number" if type(current) is float else "a whole number")
    raise SodbenchError(f"{key} = {value!r}: expected {kind}")


def _format_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # TOML's escapes are JSON's
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_toml, value)) + "]"
    return repr(value)
