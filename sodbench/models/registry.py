"""Networks by name, or by ``path/to/file.py:factory``.

A model registers itself in its own file with `register_model`. The modules of this package are imported when
a registered name is first looked up, so that listing options imports no torch.
"""

import difflib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.models.baselines import BASELINES
from sodbench.models.presets import PRESETS
from sodbench.models.user_code import FAILURES, describe_failure, user_code
from sodbench.plugins import load_plugins

if TYPE_CHECKING:
    from torch import nn

Factory = TypeVar("Factory", bound="Callable[..., nn.Module]")

# Endings of files that are taken for models but hold weights, or a program.
_TORCH_FILES = (".pt", ".pth", ".pt2", ".pth.tar", ".ckpt", ".safetensors")

_PACKAGE = __name__.rpartition(".")[0]

_factories: "dict[str, Callable[..., nn.Module]]" = {}


def register_model(name: str) -> Callable[[Factory], Factory]:
    """Decorate a factory to offer its network under a name.

    Parameters
    ----------
    name : str
        The name that `create_model` and ``--model`` take.

    Returns
    -------
    callable
        A decorator that returns the factory unchanged. The factory's keyword arguments become the options of
        `create_model`.

    Raises
    ------
    ValueError
        If a model or baseline of that name exists.

    Examples
    --------
    >>> @register_model("my-network")
    ... def my_network(width=64):
    ...     return MyNetwork(width)
    """

    def register(factory: Factory) -> Factory:
        if name in _factories or name in BASELINES:
            raise ValueError(f"a model named {name!r} is registered already")
        _factories[name] = factory
        return factory

    return register


def model_names() -> tuple[str, ...]:
    """Return the names of the registered networks; imports torch."""
    _import_own_models()
    load_plugins("sodbench.models")
    return tuple(_factories)


def other_model_names() -> tuple[str, ...]:
    """Return the names of the networks that plug-ins and programs register; imports torch only if they do."""
    load_plugins("sodbench.models")
    return tuple(
        name
        for name, factory in _factories.items()
        if not factory.__module__.startswith(f"{_PACKAGE}.")
    )


@cache
def _import_own_models() -> None:
    """Import every module of this package, so that its models register themselves."""
    for module in pkgutil.iter_modules(sys.modules[_PACKAGE].__path__, f"{_PACKAGE}."):
        importlib.import_module(module.name)


def create_model(name: str, **options: Any) -> "nn.Module":
    """Create a network, with its weights as initialised.

    Parameters
    ----------
    name : str
        A registered name, or ``path/to/file.py:factory``.
    **options
        Keyword arguments of the factory.

    Returns
    -------
    torch.nn.Module
        Maps normalised RGB float32 [n, 3, h, w] to logits [n, 1, h', w'].

    Raises
    ------
    SodbenchError
        For an unknown name, a file or factory that cannot be used, and a factory that does not return a
        ``torch.nn.Module``.

    Examples
    --------
    >>> model = create_model("csf-res2net50")
    """
    if file_and_factory := _split_file_and_factory(name):
        path, attribute = file_and_factory
        with _importable(path.parent):
            return _call_factory(name, _load_factory(path, attribute), options)
    if name.endswith(".py"):
        raise SodbenchError(f"{name}: which factory in the file? Write {name}:FACTORY")
    if is_onnx_file(name):
        raise SodbenchError(
            f"{name}: an ONNX file is run by onnxruntime, for predict, bench and run; it is not a torch.nn.Module"
        )
    if name in BASELINES:
        raise SodbenchError(
            f"{name} is a baseline without a network, so there is nothing to create"
        )
    if name not in model_names():
        raise SodbenchError(*_describe_unknown_model(name))
    return _call_factory(name, _factories[name], options)


def _describe_unknown_model(name: str) -> list[str]:
    if name.lower().endswith(_TORCH_FILES):
        return [
            f"--model {name}: a file of torch does not state which network it is for",
            f"  weights: --model NAME --checkpoint {name}",
            "  a program: --model net.py:factory, which returns torch.jit.load(FILE) or torch.export.load(FILE).module()",
        ]
    names = [*model_names(), *BASELINES]
    near = difflib.get_close_matches(name, names, 1)
    lines = [
        f"unknown model {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        f"  known: {', '.join(names)}",
        "  your own: path/to/file.py:factory or path/to/file.onnx",
    ]
    if name in PRESETS:
        lines.append(
            f"  {name!r} is a preset, for a file of your own: --model FILE --preset {name}"
        )
    return lines


def identify_model(name: str) -> tuple[str, str | None]:
    """Return what a manifest records of a model.

    Parameters
    ----------
    name : str
        As for `create_model`.

    Returns
    -------
    name : str
        The registered name, or ``file.py:factory`` without folders: a model is the same however its path is
        written.
    sha256 : str or None
        The hash of the file, so that a changed file is another model; None for a registered name.
    """
    file_and_factory = _split_file_and_factory(name)
    if file_and_factory is None:
        return name, None
    path, attribute = file_and_factory
    return f"{path.name}:{attribute}", file_hash(path)


def starts_untrained(name: str) -> bool:
    """Whether a model without a checkpoint is known to have random weights.

    Parameters
    ----------
    name : str
        As for `create_model`.

    Returns
    -------
    bool
        True for sodbench's own networks. A user's factory may load weights itself.
    """
    if name in BASELINES or _split_file_and_factory(name) or is_onnx_file(name):
        return False
    return name in model_names() and _factories[name].__module__.startswith(f"{_PACKAGE}.")


def is_onnx_file(name: str) -> bool:
    """Whether a model is an ONNX file.

    Parameters
    ----------
    name : str
        As for ``--model``.

    Returns
    -------
    bool
    """
    return name.lower().endswith(".onnx")


def _split_file_and_factory(name: str) -> tuple[Path, str] | None:
    """Return the two parts of ``path/to/file.py:factory``; None for a registered name."""
    path, colon, attribute = name.rpartition(":")
    return (Path(path), attribute) if colon and path.endswith(".py") else None


def _call_factory(
    name: str, factory: "Callable[..., nn.Module]", options: dict[str, Any]
) -> "nn.Module":
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


# --- a user's file -----------------------------------------------------------------------------------


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a user's file import its neighbours while it is loaded; undo what it changes globally."""
    import torch

    entry = str(folder.resolve())
    default_type = torch.get_default_dtype()
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        # for everything else, it is the caller's
        torch.set_default_dtype(default_type)
        # the file may have changed the path itself
        if entry in sys.path:
            sys.path.remove(entry)


def _load_factory(path: Path, attribute: str) -> "Callable[..., nn.Module]":
    if not path.is_file():
        raise SodbenchError(f"{path}: no such file (--model path/to/file.py:factory)")
    module = _import_file(path)
    factory = getattr(module, attribute, None)
    if not callable(factory):
        own = [
            k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        others = f"it defines {', '.join(own)}" if own else "it defines no function or class"
        raise SodbenchError(f"{path}: no callable {attribute!r} in it; {others}")
    return factory  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    name = f"sodbench_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickle look their module up by name
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:
        sys.modules.pop(name, None)
        raise SodbenchError(f"{path}: cannot be imported: {describe_failure(error)}") from error
    return module
