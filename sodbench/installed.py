"""Which packages are installed, read from the files that describe them.

`importlib.metadata` knows more ways to install a package, and takes as long to import as a short command takes for
everything else. What is found here is what it would find; where that is not certain, the answer is None.
"""

import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

_ENDINGS = (".dist-info", ".egg-info")


def metadata_folders() -> list[Path] | None:
    """List the folders that describe the packages on ``sys.path``, in its order.

    Returns
    -------
    list of Path or None
        None where a package may be described elsewhere: in an archive, an egg, or by an importer of its own.
    """
    if any(hasattr(f, "find_distributions") for f in sys.meta_path if f is not PathFinder):
        return None
    folders = []
    for place in sys.path:
        try:
            names = os.listdir(place or os.curdir)  # noqa: PTH208  a fifth of the time
        except OSError:
            if Path(place).exists():
                return None
            continue
        for name in map(str.lower, names):
            if name == "egg-info" or name.endswith(".egg"):
                return None
        folders += [Path(place, name) for name in names if name.lower().endswith(_ENDINGS)]
    return folders


def has_entry_points(prefix: str) -> bool:
    """Whether a package may have entry points in groups that begin with a prefix.

    Parameters
    ----------
    prefix : str

    Returns
    -------
    bool
        False only where `importlib.metadata.entry_points` would find none.
    """
    folders = metadata_folders()
    if folders is None:
        return True
    return any(f"[{prefix}".encode() in _read(folder / "entry_points.txt") for folder in folders)


def find_versions(names: list[str]) -> dict[str, str]:
    """Return the versions of packages.

    Parameters
    ----------
    names : list of str
        In lower case.

    Returns
    -------
    dict of str to str
        Without those that are not described exactly once.
    """
    versions: dict[str, list[str]] = {name: [] for name in names}
    for folder in metadata_folders() or []:
        name = re.sub(r"[-_.]+", "-", folder.stem.partition("-")[0]).lower()
        if name in versions:
            match = re.search(rb"^Version: *(\S+)\r?$", _read(folder / "METADATA"), re.MULTILINE)
            versions[name].append(match[1].decode("ascii", "replace") if match else "")
    return {name: own[0] for name, own in versions.items() if len(own) == 1 and own[0]}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
