"""Compiled kernels: the one place that uses numba's decorator.

A kernel is compiled on first use, and its machine code is kept for the next process in numba's files: next to the
module where that folder is writable, else in the user's cache folder, or in ``NUMBA_CACHE_DIR`` alone where that is
set.  Code that is there already is used wherever it can be read, so a container whose image was warmed up needs no
writable folder.  Several processes that start at once wait for the first one's code.  Where no folder is writable, the
kernels are compiled again in each process, with one warning.  ``NUMBA_DISABLE_JIT=1`` runs every kernel as plain Python,
for debugging and coverage.

numba is imported when the first kernel is called, because that takes longer than reading thousands of stored results.

numba's own cache (``cache=True``) reads no folder that it cannot write, lets every process compile, and loads all of
numba's compiler before it looks for code, which takes a fifth of a second.
"""

import contextlib
import functools
import hashlib
import inspect
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sodbench.interrupts import held_interrupts
from sodbench.metrics.cache_folder import user_cache_folder


def _is_jit_enabled() -> bool:
    """Read ``NUMBA_DISABLE_JIT`` as numba does."""
    try:
        return not int(os.environ.get("NUMBA_DISABLE_JIT", "0"))
    except ValueError:
        return True


# Whether kernels are compiled; False under NUMBA_DISABLE_JIT=1
JIT: bool = _is_jit_enabled()

_logger = logging.getLogger("sodbench")
# two threads may call kernels of one file first
_making_dispatchers = threading.RLock()
# set once a kernel could not be kept: one warning is enough
_no_cache = threading.Event()
# set once a kernel was missing: one message is enough
_announced = threading.Event()
# The folders that this process has locked while it compiles
_locked: set[Path] = set()
# The folders in which code was found, or where it was to be kept
_used: set[Path] = set()


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a kernel: ``@compiled()``, with options of ``numba.njit`` in the parentheses.

    Parameters
    ----------
    **options
        For ``numba.njit``, e.g. ``error_model="numpy"``.

    Returns
    -------
    callable
        The decorator.  What it returns releases the interpreter's lock, and its code is kept where there is a writable
        folder.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        return _Kernel(function, options) if JIT else _as_plain_python(function)

    return decorate


class _Kernel:
    """A kernel whose numba dispatcher is made at its first use.

    Then the dispatchers of all kernels of its file are made, and take their places in the module: they call each other,
    and compiled code can call nothing but dispatchers.

    Parameters
    ----------
    function : callable
        The kernel in Python.
    options : dict
        For ``numba.njit``.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]):
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._dispatcher(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        # not asked for before __init__ has set it
        if name in ("_function", "_options"):
            raise AttributeError(name)
        return getattr(self._dispatcher, name)

    @functools.cached_property
    def _dispatcher(self) -> Any:
        with _ctrl_c_later(), _making_dispatchers:
            names = self._function.__globals__
            own = {name: value for name, value in names.items() if isinstance(value, _Kernel)}
            for name, kernel in own.items():
                if kernel._function.__globals__ is names:
                    names[name] = kernel._own_dispatcher
            return self._own_dispatcher

    @functools.cached_property
    def _own_dispatcher(self) -> Any:
        import numba

        kernel = numba.njit(nogil=True, **self._options)(self._function)
        cache = _KernelCache(self._function)
        kernel._cache = cache
        kernel.compile = cache.unlock_after(kernel.compile)
        return kernel


def have_cache() -> bool:
    """Whether the kernels compiled so far are kept for the next process.

    Returns
    -------
    bool
    """
    return JIT and not _no_cache.is_set()


def kernel_folders() -> list[Path]:
    """List the folders that hold the code of the kernels that this process has used so far.

    Returns
    -------
    list of Path
    """
    return sorted(_used)


def cache_folders(source: Path) -> list[Path]:
    """List the folders that may hold the compiled kernels of a module, in the order in which they are searched.

    Parameters
    ----------
    source : Path
        The module's file.

    Returns
    -------
    list of Path
    """
    folder = source.resolve().parent
    # two installations have different folders, as in numba's own cache
    own = f"{folder.name}_{hashlib.sha1(str(folder).encode(), usedforsecurity=False).hexdigest()}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(chosen) / own]
    users = user_cache_folder()
    return [folder / "__pycache__", *([users / "kernels" / own] if users else [])]


def is_code_kept() -> bool:
    """Whether an earlier process kept the code of kernels of this package; it may be that of an earlier version.

    Returns
    -------
    bool
    """
    return any(any(folder.glob("*.nbi")) for folder in cache_folders(Path(__file__)))


class _KernelCache:
    """The code of one kernel by the types of its arguments; takes the place of numba's ``FunctionCache``.

    numba calls its methods one thread at a time.

    Parameters
    ----------
    function : callable
        The kernel in Python.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._lock = -1
        # for numba's statistics
        self.cache_path = None

    @functools.cached_property
    def _files(self) -> dict[Path, Any]:
        """The places of the kernel's code, by folder."""
        from numba.core.caching import IndexDataCacheFile

        source = Path(inspect.getfile(self._function))
        code = self._function.__code__
        version = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        name = f"{source.stem}.{self._function.__qualname__}-{code.co_firstlineno}.{version}"
        name = name.replace("<", "").replace(">", "")
        stamp = _hash_source(source)
        return {
            folder: IndexDataCacheFile(str(folder), name, stamp) for folder in cache_folders(source)
        }

    @functools.cached_property
    def _writable_folder(self) -> Path | None:
        return next(filter(_is_writable, self._files), None)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the kept code for some types of arguments; None if numba must compile it."""
        from numba.core.runtime.nrt import rtsys

        # all that the code needs at run time; numba's cache would load the compiler, too
        rtsys.initialize(target)
        kept = self._load(signature, target)
        if kept is None:
            if self._writable_folder is None:
                _warn_of_no_cache("no folder for compiled kernels is writable")
            _announce()
            if self._lock_folder():
                kept = self._load(signature, target)
        return kept

    def _load(self, signature: Any, target: Any) -> Any:
        from numba.core.compiler import CompileResult

        for folder, file in self._files.items():
            # a damaged or unreadable file is as good as none
            with contextlib.suppress(Exception):
                code = file.load(self._key(signature, target.codegen()))
                if code is not None:
                    _used.add(folder)
                    return CompileResult._rebuild(target, *code)
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep the code that numba compiled for some types of arguments."""
        folder = self._writable_folder
        # code that holds an address of this process is of no use to another one
        if folder is None or result.library.has_dynamic_globals:
            return
        _used.add(folder)
        try:
            self._files[folder].save(self._key(signature, result.codegen), result._reduce())
        except OSError as error:
            _warn_of_no_cache(
                f"{folder}: compiled kernels cannot be kept ({error.strerror or error})"
            )

    def _key(self, signature: Any, codegen: Any) -> Any:
        """What code depends on besides the source: types, processor, and the bytecode."""
        bytecode = hashlib.sha256(self._function.__code__.co_code).hexdigest()
        return signature, codegen.magic_tuple(), bytecode

    def _lock_folder(self) -> bool:
        """Wait until no other process compiles into the folder, and keep others waiting until `unlock_after`'s end.

        A kernel that is compiled for another one finds the folder locked by this process.
        """
        folder = self._writable_folder
        if folder is None or folder in _locked:
            return False
        try:
            import fcntl
        except ImportError:
            # Windows: several processes compile the same
            return False
        try:
            self._lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError:
            # a file system without locks
            self._unlock_folder()
            return False
        _locked.add(folder)
        return True

    def _unlock_folder(self) -> None:
        # two threads that called the kernel come here at once: only one of them closes the file
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)
            _locked.discard(self._writable_folder)

    def unlock_after(self, compile_: Callable[..., Any]) -> Callable[..., Any]:
        """Return numba's method that loads or compiles the kernel, which gives the folder free at its end."""

        def compile_and_unlock(signature: Any) -> Any:
            with _ctrl_c_later():
                try:
                    return compile_(signature)
                finally:
                    self._unlock_folder()

        return compile_and_unlock

    def enable(self) -> None:
        """Do nothing; numba calls it for ``cache=True``."""

    def flush(self) -> None:
        """Forget the kept code, for ``kernel.recompile()``."""
        if self._writable_folder:
            self._files[self._writable_folder].flush()


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Let Ctrl-C interrupt after the block what it would have interrupted within.

    The block calls LLVM, which calls Python: an exception that is raised there is lost, or leaves an object that is
    freed twice.
    """
    handler = signal.getsignal(signal.SIGINT)
    came: list[Any] = []
    try:
        with held_interrupts() as came:
            yield
    finally:
        if came and callable(handler):
            handler(*came[-1])


@functools.cache
def _hash_source(source: Path) -> bytes:
    return hashlib.sha256(source.read_bytes()).digest()


@functools.cache
def _is_writable(folder: Path) -> bool:
    """Whether files can be written in a folder, which is created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _announce() -> None:
    """Say once in each process why it seems to do nothing."""
    if not _announced.is_set():
        _announced.set()
        once = ", once on a machine" if have_cache() else ""
        _logger.info("compiling the kernels: about 20 s%s", once)


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


def _as_plain_python(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without numpy's warnings about integer overflow, which compiled code ignores."""

    @functools.wraps(function)
    def plain(*arguments: Any, **keywords: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments, **keywords)

    return plain
