"""Plug-ins: installed packages that add models, metrics, protocols or datasets.

A package declares an entry point in one of `Group`, here in its ``pyproject.toml``::

    [project.entry-points."sodbench.protocols"]
    mine = "my_package.protocols"

The entry point is a module, which is imported, or a function, which is called without arguments; either registers what
it adds with `register_model`, `register_metric`, `register_protocol` or `register_dataset`. A group is loaded when a
name of its kind is first looked up, so that a plug-in for models costs nothing while maps are scored.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Literal

from sodbench.errors import SodbenchError
from sodbench.installed import has_entry_points

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Group = Literal["sodbench.models", "sodbench.metrics", "sodbench.protocols", "sodbench.datasets"]

_loaded: set[Group] = set()


def load_plugins(*groups: Group) -> None:
    """Load every installed plug-in of some groups, each group once.

    Parameters
    ----------
    *groups : str
        Of `Group`.

    Raises
    ------
    SodbenchError
        If a plug-in cannot be loaded; the message names the package that it belongs to.
    """
    for group in groups:
        if group in _loaded:
            continue
        # first: a plug-in may look up a name of its own kind
        _loaded.add(group)
        try:
            for entry in _find_entry_points(group):
                _load_entry_point(entry)
        except SodbenchError:
            _loaded.remove(group)
            raise


def _find_entry_points(group: Group) -> "list[EntryPoint]":
    if not has_entry_points(group):
        return []
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda entry: entry.name)


def _load_entry_point(entry: "EntryPoint") -> None:
    try:
        loaded = entry.load()
        if not isinstance(loaded, ModuleType):
            loaded()
    except Exception as error:
        raise SodbenchError(
            f"the plug-in {entry.name} ({entry.group}) of {_package_of(entry)} cannot be loaded: "
            f"{type(error).__name__}: {error}; update or uninstall that package"
        ) from error


def _package_of(entry: "EntryPoint") -> str:
    if entry.dist is None:
        return f"the module {entry.module}"
    return f"the package {entry.dist.name} {entry.dist.version}"
