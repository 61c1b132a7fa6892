"""Compiled kernels: the one place that uses numba's decorator.

Kernels are compiled on first use and kept in numba's cache.  Where no cache folder is writable (a read-only installation
with an unwritable home, as in many containers), numba refuses to decorate at all.  The kernels are then compiled again in
each process, with one warning.  ``NUMBA_CACHE_DIR`` chooses the folder, and ``NUMBA_DISABLE_JIT=1`` runs every kernel as
plain Python, for debugging and coverage.
"""

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from numba.core import event

# Whether kernels are compiled; False under NUMBA_DISABLE_JIT=1
JIT: bool = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]

# set once a kernel could not be cached: one warning is enough
_no_cache = threading.Event()


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a kernel: ``@compiled()``, with options of ``numba.njit`` in the parentheses.

    Parameters
    ----------
    **options
        For ``numba.njit``, e.g. ``error_model="numpy"``.

    Returns
    -------
    callable
        The decorator.  What it returns releases the interpreter's lock and is kept in numba's cache where there is
        a writable folder.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if not JIT:
            return _as_plain_python(function)
        try:
            kernel = numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:
            # numba's "no locator available": no folder to cache in
            _warn_of_no_cache("numba finds no writable folder for its cache")
            return numba.njit(nogil=True, **options)(function)
        _go_without_cache_when_it_cannot_be_written(kernel)
        return kernel

    return decorate


def _go_without_cache_when_it_cannot_be_written(kernel: Any) -> None:
    """Let a kernel that was compiled be used although its cache file cannot be written, e.g. on a full disk."""
    save = kernel._cache.save_overload

    def save_if_possible(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            _warn_of_no_cache(f"numba cannot write its cache ({error.strerror or error})")

    kernel._cache.save_overload = save_if_possible


def _warn_of_no_cache(reason: str) -> None:
    """Warn once in each process that kernels are compiled again in each process, and why."""
    if _no_cache.is_set():
        return
    _no_cache.set()
    warnings.warn(
        f"{reason}, so the kernels are compiled again in each process (about 20 s); set NUMBA_CACHE_DIR to a "
        "writable folder",
        RuntimeWarning,
        stacklevel=3,
    )


def have_cache() -> bool:
    """Whether the kernels decorated so far are kept for the next process.

    Returns
    -------
    bool
    """
    return JIT and not _no_cache.is_set()


def _as_plain_python(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without numpy's warnings about integer overflow, which compiled code ignores."""

    @functools.wraps(function)
    def plain(*arguments: Any, **keywords: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments, **keywords)

    return plain


class _FirstCompilation(event.Listener):
    """Calls a function when numba starts to compile, once."""

    def __init__(self, announce: Callable[[], None]):
        self._announce = announce
        self._announced = False

    def on_start(self, event: event.Event) -> None:
        if not self._announced:
            self._announced = True
            self._announce()

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def announcing(announce: Callable[[], None]) -> Iterator[None]:
    """Announce compilation: a context in which ``announce`` is called before the first kernel is compiled, if any is.

    Parameters
    ----------
    announce : callable
        Takes no argument; not called where the cache has all kernels.

    Yields
    ------
    None
    """
    with event.install_listener("numba:compile", _FirstCompilation(announce)):
        yield
