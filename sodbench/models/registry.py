"""Networks by name, or by ``path/to/file.py:factory``.

A network maps normalised RGB float [n, 3, h, w] to saliency logits [n, 1, h', w'].  The sizes that it takes
are declared in an attribute ``input_size`` (:class:`InputSize`); without one every image enters at its own size.
A network that ends in a sigmoid declares ``output = "probabilities"``.  Maps have the image's own size in any case.
"""

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.models.baselines import BASELINES
from sodbench.models.user_code import FAILURES, describe_failure, user_code

if TYPE_CHECKING:
    from torch import nn

Factory = TypeVar("Factory", bound="Callable[..., nn.Module]")

_factories: "dict[str, Callable[..., nn.Module]]" = {}

OUTPUTS = ("logits", "probabilities")
"""What a network may declare in ``output``; the first is what it gives where it declares nothing."""


@dataclass(frozen=True)
class InputSize:
    """The sizes a network takes; images of other sizes are resized bilinearly to one it takes.

    ``InputSize()``: any size, so images stay as they are.  ``InputSize(multiple=32)``: height and width
    are rounded to the nearest multiple of 32, never to 0.  ``InputSize(fixed=(352, 352))``: always
    that (height, width).
    """

    multiple: int = 1
    fixed: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.multiple):
            raise SodbenchError(
                f"InputSize(multiple={self.multiple!r}): write a whole number of at least 1"
            )
        pair = isinstance(self.fixed, (tuple, list)) and len(self.fixed) == 2
        if self.fixed is not None and not (pair and all(map(_is_whole, self.fixed))):
            raise SodbenchError(
                f"InputSize(fixed={self.fixed!r}): write (height, width), two whole numbers of at least 1"
            )

    def of(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) at which an image of this size enters the network."""
        if self.fixed:
            return self.fixed
        k = self.multiple
        return max(k, (height + k // 2) // k * k), max(k, (width + k // 2) // k * k)


def register_model(name: str) -> Callable[[Factory], Factory]:
    """Decorate a factory to offer its network under ``name``.

    The factory's keyword arguments become the options of :func:`create_model`.  Import heavy packages
    inside it.
    """

    def register(factory: Factory) -> Factory:
        if name in _factories or name in BASELINES:
            raise ValueError(f"a model named {name!r} is registered already")
        _factories[name] = factory
        return factory

    return register


def model_names() -> tuple[str, ...]:
    """The registered networks."""
    return tuple(_factories)


def create_model(name: str, **options: Any) -> "nn.Module":
    """The network ``name``, or the one that ``path/to/file.py:factory`` makes; weights as initialised.

    Raises :class:`SodbenchError` for an unknown name, for a file or factory that cannot be used, and
    for a factory that does not return a ``torch.nn.Module``.
    """
    if in_file := _file_and_factory(name):
        path, attribute = in_file
        with _importable(path.parent):
            return _made(name, _factory_in(path, attribute), options)
    if name.endswith(".py"):
        raise SodbenchError(f"{name}: which factory in the file? Write {name}:FACTORY")
    if name in BASELINES:
        raise SodbenchError(
            f"{name} is a baseline without a network, so there is nothing to create"
        )
    if name not in _factories:
        near = difflib.get_close_matches(name, _factories, 1, 0.4)
        raise SodbenchError(
            f"unknown model {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f". Known: {', '.join([*_factories, *BASELINES])}; or your own as path/to/file.py:factory"
        )
    return _made(name, _factories[name], options)


def model_identity(name: str) -> tuple[str, str | None]:
    """What a manifest states of a model: its name (a file's without folders), and the file's SHA-256 or None.

    So a file is one model however its path is written, and another as soon as its content changes.
    """
    in_file = _file_and_factory(name)
    if in_file is None:
        return name, None
    path, attribute = in_file
    return f"{path.name}:{attribute}", file_hash(path)


def _file_and_factory(name: str) -> tuple[Path, str] | None:
    """The two parts of ``path/to/file.py:factory``; None for a registered name."""
    path, colon, attribute = name.rpartition(":")
    return (Path(path), attribute) if colon and path.endswith(".py") else None


def input_size_of(model: "nn.Module") -> InputSize:
    """What the network declares in ``input_size``; any size where it declares nothing."""
    declared = getattr(model, "input_size", None) or InputSize()
    if not isinstance(declared, InputSize):
        raise SodbenchError(
            f"{type(model).__name__}.input_size is {declared!r}; it must be a "
            "sodbench.models.InputSize: InputSize(), InputSize(multiple=32) or InputSize(fixed=(h, w))"
        )
    return declared


def output_of(model: "nn.Module") -> str:
    """Return what the network declares in ``output``: ``logits`` (the default) or ``probabilities``.

    Raises
    ------
    SodbenchError
        For any other declaration.
    """
    declared = getattr(model, "output", None)
    if not isinstance(declared, str):  # nothing, or a layer of that name
        return OUTPUTS[0]
    if declared not in OUTPUTS:
        raise SodbenchError(
            f"{type(model).__name__}.output is {declared!r}; it must be 'logits', or 'probabilities' where the "
            "network ends in a sigmoid"
        )
    return declared


def starts_untrained(name: str) -> bool:
    """Whether a model without a checkpoint is known to have random weights.

    That is known of sodbench's own networks. A user's factory may load weights itself.
    """
    return name in _BUILT_IN


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _made(name: str, factory: "Callable[..., nn.Module]", options: dict[str, Any]) -> "nn.Module":
    from torch import nn

    try:
        inspect.signature(factory).bind(**options)
    except (TypeError, ValueError) as error:
        raise SodbenchError(
            f"model {name}: its factory was called with {options}: {error}"
        ) from error
    with user_code(f"model {name}: its factory failed"):
        model = factory(**options)
    if not isinstance(model, nn.Module):
        raise SodbenchError(
            f"model {name}: the factory returned {type(model)}, not a torch.nn.Module"
        )
    return model


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a user's file import its neighbours while it is loaded."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:  # the file may have changed the path itself
            sys.path.remove(entry)


def _factory_in(path: Path, attribute: str) -> "Callable[..., nn.Module]":
    if not path.is_file():
        raise SodbenchError(f"{path}: no such file (--model path/to/file.py:factory)")
    module = _module(path)
    factory = getattr(module, attribute, None)
    if not callable(factory):
        own = [
            k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        raise SodbenchError(f"{path}: no callable {attribute!r} in it; it defines {', '.join(own)}")
    return factory  # type: ignore[no-any-return]


def _module(path: Path) -> ModuleType:
    name = f"sodbench_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up by name
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:
        sys.modules.pop(name, None)
        raise SodbenchError(f"{path}: cannot be imported: {describe_failure(error)}") from error
    return module


@register_model("csf-res2net50")
def csf_res2net50(frozen: bool = True) -> "nn.Module":
    """Res2Net-50 + cross-stage fusion (Gao et al., ECCV 2020); ``frozen`` as :class:`CSF` says."""
    from sodbench.models.csf import CSF

    return CSF(frozen)


@register_model("lraspp-mobilenet-v3")
def lraspp_mobilenet_v3() -> "nn.Module":
    """MobileNetV3-Large with LR-ASPP (Howard et al., ICCV 2019), torchvision's, one output channel.

    A small network (3.2 million parameters) for trials and as an example; it starts untrained.
    """
    from sodbench.models.lraspp import LRASPP

    return LRASPP()


_BUILT_IN = frozenset(_factories)
