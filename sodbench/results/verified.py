"""Which stored results were derived from their counts on this machine, so that they need not be derived again.

Whoever opens a stored result checks that its numbers follow from its counts, which takes as long as scoring them. Once
that was done, the digest of ``result.json`` is noted in the user's cache folder. The digest covers every field, among
them the hashes of the other two files, so any change of a stored byte makes another result, which is checked again; so
does any change of the code or of the protocol. The notes may be deleted at any moment.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sodbench.metrics import PROTOCOLS
from sodbench.metrics.cache_folder import user_cache_folder
from sodbench.metrics.registration import registered_formulas
from sodbench.version import __version__

if TYPE_CHECKING:
    from sodbench.results.result import Result

# A line of the notes, and the size from which on the older half is dropped
_LINE_BYTES = 33
_MAX_BYTES = 2**20


def is_verified(result: "Result") -> bool:
    """Whether this code has derived a stored result from its counts before.

    Parameters
    ----------
    result : Result
        As it was loaded. Its other two files must have the hashes that it states.

    Returns
    -------
    bool
    """
    note, notes = _note_of(result), _notes_file()
    return bool(note and notes) and note in _read_notes(notes)


def note_verified(result: "Result") -> None:
    """Note that a stored result follows from its counts; without a writable cache folder nothing is noted.

    Parameters
    ----------
    result : Result
        As it was loaded, after it was derived.
    """
    note, notes = _note_of(result), _notes_file()
    if not note or notes is None or note in _read_notes(notes):
        return
    _read_notes(notes).add(note)
    with suppress(OSError):
        notes.parent.mkdir(parents=True, exist_ok=True)
        # in one piece, so that several processes do not mix their lines
        with notes.open("ab", buffering=0) as file:
            file.write(f"{note}\n".encode())
        if notes.stat().st_size > _MAX_BYTES:
            newer = notes.read_bytes()[-_MAX_BYTES // 2 // _LINE_BYTES * _LINE_BYTES :]
            notes.write_bytes(newer)


def _note_of(result: "Result") -> str:
    """What is noted of a result; empty for one that cannot be recognised."""
    # the code of a formula that a user registers is not known here
    if not result.digest or result.protocol not in PROTOCOLS or registered_formulas():
        return ""
    facts = (result.digest, _code_state(), repr(PROTOCOLS[result.protocol]))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


@cache
def _code_state() -> str:
    """The versions and source files that derive scores from counts."""
    from sodbench import metrics, results

    state = [__version__, np.__version__]
    for package in (metrics, results):
        with os.scandir(Path(package.__file__ or "").parent) as entries:
            sources = [(e.name, e.stat()) for e in entries if e.name.endswith(".py")]
        state += [f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in sorted(sources)]
    return " ".join(state)


def _notes_file() -> Path | None:
    folder = user_cache_folder()
    return folder / "verified-results" if folder else None


@cache
def _read_notes(path: Path) -> set[str]:
    """The notes as this process found them; its own are added."""
    try:
        return set(path.read_text("ascii", "replace").split())
    except OSError:
        return set()
