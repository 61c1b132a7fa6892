"""Public names of a package that are imported when they are first used, so that the package itself is imported quickly."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def import_on_first_use(
    package: str, module_of: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        Its ``__name__``.
    module_of : mapping of str to str
        Where each name is, as a module within the package.

    Returns
    -------
    get : callable
        Imports a name and keeps it in the package; raises AttributeError for a name that is none of these.
    list_names : callable
        Lists these names and those that the package has already.
    """
    names = vars(sys.modules[package])

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        names[name] = value
        return value

    return get, lambda: sorted({*names, *module_of})
