"""The user's cache folder: what is kept there saves time, and may be deleted at any moment."""

import os
import sys
from pathlib import Path


def user_cache_folder() -> Path | None:
    """Return sodbench's folder in the user's cache folder, whether it exists or not.

    Returns
    -------
    Path or None
        ``$SODBENCH_CACHE`` itself if that is set; else on Linux in ``$XDG_CACHE_HOME`` or ``~/.cache``, on macOS in
        ``~/Library/Caches``, on Windows in ``%LOCALAPPDATA%``.  None for a user without a home, as in some containers.
    """
    if folder := os.environ.get("SODBENCH_CACHE"):
        return Path(folder)
    if named := os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"):
        return Path(named) / "sodbench"
    try:
        home = Path.home()
    except RuntimeError:
        # neither $HOME nor an entry in the list of users
        return None
    inside = {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")
    return home / inside / "sodbench"
