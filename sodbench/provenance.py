"""What made a result: versions and machine, without host names and paths."""

import platform
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

from sodbench.installed import find_versions
from sodbench.version import __version__


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of sodbench, Python and some packages.

    Parameters
    ----------
    names : iterable of str
        Names of packages as they are imported, such as ``numpy`` or ``PIL``.

    Returns
    -------
    dict
        ``sodbench``, ``python`` and each package by its name in lower case (``pillow`` for PIL).
    """
    keys = {"pillow" if name == "PIL" else name.lower(): name for name in names}
    versions = find_versions(list(keys))
    own = {"sodbench": __version__, "python": platform.python_version()}
    return own | {key: versions.get(key) or _version_of(key, name) for key, name in keys.items()}


def _version_of(key: str, name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(key)
    except PackageNotFoundError:
        return str(import_module(name).__version__)


def counting_versions() -> dict[str, str]:
    """The versions and the kind of machine that scores may depend on: what decodes and what counts.

    Returns
    -------
    dict of str to str
    """
    machine = f"{platform.system()} {platform.machine()}"
    return {**_versions_once(("numpy", "numba", "PIL")), "machine": machine}


# of packages that are loaded: each of many results would look through all that are installed
_versions_once = cache(package_versions)


@cache
def cpu_name() -> str:
    """The processor's model, as the system states it.

    Returns
    -------
    str
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
