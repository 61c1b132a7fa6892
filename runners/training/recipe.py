"""Recipes: everything that decides the result of a training, in one printable value.

A recipe is a frozen dataclass; it can be printed, changed (``--set learning_rate=1e-4``), loaded from TOML
and is saved with every run.  ``reference`` is the protocol of the CSF authors, step for step.
"""

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError

CHOICES = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("steps", "cosine", "constant"),
    "counter": ("carry", "drop", "flush"),
    "loss": ("bce-sum", "bce", "bce-iou", "structure"),
    "initialise": ("model", "kaiming"),
    "precision": ("fp32", "tf32", "bf16"),
}
"""The values of the fields that name a choice."""

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
"""The least and the largest value of a field, or of each of its values. Beyond them a training cannot run."""
POSITIVE = ("learning_rate", "scales")
"""Fields that may not be 0 either."""


def _numbers(value: Any) -> tuple[float, ...]:
    """The floats of a field, a number or a tuple of numbers."""
    values = value if isinstance(value, tuple) else (value,)
    return tuple(v for v in values if isinstance(v, float))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.  The defaults are the reference protocol.

    Optimisation:
        optimizer: ``adam`` (L2 in the gradient), ``adamw``, or ``sgd`` (momentum 0.9, Nesterov).
        learning_rate, weight_decay: on every trainable tensor.
        epochs: passes over the training images.
        schedule: ``steps``: times 0.1 at the end of each epoch index in ``milestones``; ``cosine``: to zero
            over all updates; ``constant``.
        milestones: epoch indices, counted from 0.
        restart_optimizer: start the optimiser's moments afresh at each milestone, as the reference does.
        warmup: updates over which the learning rate rises from zero.
        clip: largest gradient norm; 0 leaves gradients as they are.
    An update:
        accumulate: images of one update.
        counter: what becomes of the images left over at the end of an epoch.  ``carry`` is the reference's
            quirk: they are dropped, but stay counted, so that the first update of the next epoch comes
            early, on fewer images; ``drop``: they are dropped and forgotten; ``flush``: they make a last,
            smaller update.
        loss: ``bce-sum``: cross-entropy summed over pixels; ``bce``: its mean over pixels; ``bce-iou``: that plus
            soft IoU; ``structure``: weighted cross-entropy + weighted IoU (Wei et al., F3Net, AAAI 2020).  Every
            loss is added over the images of the update and divided by ``accumulate``.
    Images:
        flip: mirror half of the images.
        crop: least share of the shorter side that a random square crop keeps; 0 keeps the image whole.
        size: side of the square to which images are resized; 0 keeps their own size.
        scales: one factor of the size is drawn for each update (multi-scale training); empty for none.
    Network:
        frozen: batch normalisation keeps its statistics, and what the network's author froze stays so;
            false trains everything.
        initialise: ``model``: as the network's factory leaves it; ``kaiming``: draw the convolutions of its
            backbone (``base``; of all of it, where it has none) by Kaiming's rule, for training
            without a backbone file.
    Execution (the same mathematics but for rounding):
        sub_batch: most images run together.  Images of an update are grouped by exact size; 1 runs them
            one by one, as the reference does.
        precision: ``fp32``, ``tf32`` (CUDA), ``bf16`` (autocast); channels_last; compiled: torch.compile.
    seed: of the order, the augmentations and the initialisation.
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
    counter: str = "carry"
    loss: str = "bce-sum"
    flip: bool = True
    crop: float = 0.0
    size: int = 0
    scales: tuple[float, ...] = ()
    frozen: bool = True
    initialise: str = "model"
    sub_batch: int = 10
    precision: str = "fp32"
    channels_last: bool = False
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
        """The recipe as TOML, one ``key = value`` a line; :func:`load_recipe` reads it back."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in self.plain().items())

    def plain(self) -> dict[str, Any]:
        """The fields as numbers, strings and lists."""
        fields = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(),
        Recipe(
            name="scratch",
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=1e-4,
            epochs=40,
            schedule="cosine",
            warmup=20,
            accumulate=8,
            counter="flush",
            loss="bce-iou",
            crop=0.7,
            size=224,
            frozen=False,
            initialise="kaiming",
            channels_last=True,
        ),
        Recipe(
            name="sample",
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=1e-4,
            epochs=3,
            schedule="cosine",
            warmup=10,
            accumulate=8,
            counter="drop",
            loss="bce-iou",
            crop=0.8,
            size=96,
            frozen=False,
            initialise="kaiming",
            channels_last=True,
        ),
    )
}
"""By name: ``reference``; ``scratch``, for small data sets without a backbone file; ``sample``, what
``sodbench run --sample`` uses: a few minutes on two CPU cores."""


def load_recipe(name_or_file: str = "reference", changes: Iterable[str] = ()) -> Recipe:
    """A recipe by name or from a TOML file, with ``key=value`` changes applied.

    A TOML file holds ``key = value`` lines; ``base = "scratch"`` names the recipe whose values it changes
    (``reference`` otherwise).  Raises :class:`SodbenchError` for unknown names, keys and values.
    """
    if name_or_file in RECIPES:
        recipe = RECIPES[name_or_file]
    elif name_or_file.endswith(".toml") or Path(name_or_file).is_file():
        recipe = _from_toml(Path(name_or_file))
    else:
        raise SodbenchError(
            f"unknown recipe {name_or_file!r}: one of {', '.join(RECIPES)}, or a .toml file"
        )
    values = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SodbenchError(f"--set {change}: write it as key=value")
        values[key.strip()] = _parsed(value.strip())
    return changed(recipe, values)


def changed(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """A copy of the recipe with other values, their types checked."""
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise SodbenchError(
            f"a recipe has no {', '.join(map(repr, unknown))}; it has {', '.join(fields)}"
        )
    converted = {key: _converted(key, getattr(recipe, key), v) for key, v in values.items()}
    return dataclasses.replace(recipe, **converted)


def _from_toml(path: Path) -> Recipe:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SodbenchError(f"{path}: no such recipe file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SodbenchError(f"{path}: cannot be read as TOML ({error})") from error
    base = table.pop("base", "reference")
    if base not in RECIPES:
        raise SodbenchError(f"{path}: base = {base!r}: one of {', '.join(RECIPES)}")
    try:
        return changed(RECIPES[base], {"name": path.stem} | table)
    except SodbenchError as error:
        raise SodbenchError(f"{path}: {error}") from error


def _parsed(text: str) -> Any:
    """A value of ``--set`` as TOML reads it; anything else is taken as plain text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _converted(key: str, current: Any, value: Any) -> Any:
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


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")  # TOML's escapes are JSON's
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
