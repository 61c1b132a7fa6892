"""The command line. Each command is one light module: it parses, calls, and prints.

Every command module offers the same two functions:

- ``add_parser(commands)`` adds the command and its options to argparse's subparsers;
- ``run(arguments) -> int`` takes the parsed arguments and returns the exit status. It raises `SodbenchError` for what the
  user can fix. What it calls is imported in it, so that ``sodbench --help`` starts at once.
"""

import argparse
import errno
import importlib
import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sodbench.cli.defaults import apply_defaults, describe_settings, find_configuration
from sodbench.cli.parser import MESSAGE_FLAGS, Command, Parser, add_message_options
from sodbench.errors import SodbenchError
from sodbench.interrupts import (
    end_by_status,
    held_interrupts,
    is_interrupt,
    no_lost_interrupts,
)
from sodbench.quoting import printable
from sodbench.version import __version__

COMMANDS = (
    "run",
    "eval",
    "predict",
    "report",
    "table",
    "leaderboard",
    "train",
    "compare",
    "agree",
    "bench",
    "export",
    "models",
    "merge",
    "verify",
    "data",
    "warmup",
    "config",
    "completion",
)

# Bytes of 'ulimit -v': with less, OpenBLAS waits forever for its buffers and LLVM aborts, both without a message.
MIN_ADDRESS_SPACE = 2**30

REFUSED, INTERNAL, INTERRUPTED, PIPE_CLOSED = 2, 70, 130, 141
STATUSES = """\
exit status:
  0    finished, nothing to report
  1    finished with problems, all of which are listed, or a --require or --fail-if condition failed
  2    refused or failed; the message explains why and what to do
  70   an error in sodbench itself; --verbose shows where
  130  interrupted (Ctrl-C); train also gives 143 after SIGTERM
  141  the program that read the output has ended (as in 'sodbench ... | head')
"""

# What to install for a module that not every installation has.
EXTRAS = {
    "torch": "'sodbench[models]'",
    "torchvision": "'sodbench[models]'",
    "onnx": "'sodbench[onnx]'",
    "onnxruntime": "'sodbench[onnx]'",
    "onnxscript": "'sodbench[onnx]'",
    "distributed": "'sodbench[dask]'",
    "gdown": "'sodbench[drive]'",
}


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the command line, without any heavy import.

    Parameters
    ----------
    names : sequence of str
        The commands that it knows; by default all.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = Parser(
        prog="sodbench",
        description="Measure salient object detection: train, predict, score, report.",
        epilog="'sodbench COMMAND --help' and 'sodbench help COMMAND' explain one command.\n"
        "'sodbench run --sample' shows everything at work in a few minutes, without any data.\n\n"
        f"{STATUSES}",
    )
    parser.add_argument("--version", action="version", version=f"sodbench {__version__}")
    add_message_options(parser, default=None)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Command
    )
    for name in names:
        importlib.import_module(f"sodbench.cli.{name}").add_parser(commands)
    return parser


def command_parsers(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, Command]]:
    """Yield the parser of every command.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the whole command line, or of one command.
    name : str
        The command's words.

    Yields
    ------
    tuple of str and Command
        The words, such as ``data check``, and the parser.
    """
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups and isinstance(parser, Command):
        yield name, parser
    for group in groups:
        for word, inner in group.choices.items():
            yield from command_parsers(inner, f"{name} {word}".strip())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of this process.

    Returns
    -------
    int
        The exit status, see `STATUSES`. Whatever goes wrong ends in a message of plain lines, never in a traceback.

    Raises
    ------
    SystemExit
        For ``--help``, ``--version`` and arguments that argparse refuses (status 2).
    """
    arguments = argparse.Namespace()
    try:
        _prepare_streams()
        with no_lost_interrupts(), _flushed_output():
            words = sys.argv[1:] if argv is None else list(argv)
            if words[:1] == ["help"]:
                # as git and others have it
                words = [*words[1:], "--help"]
            parse(words, arguments)
            return _run(arguments)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  every error ends in a message, whatever a user's file raises
        # whoever presses Ctrl-C twice wants to end the command, too
        with held_interrupts():
            return _print_explanation(error, arguments)


def _print_explanation(error: BaseException, arguments: argparse.Namespace) -> int:
    end_by_status()
    status, lines = _explain(error, arguments)
    if status == INTERNAL and _shows_tracebacks(arguments):
        lines = [*lines, *_trace(error)]
    _print_error(lines)
    if status == PIPE_CLOSED or lines[0].startswith("standard output:"):
        _discard_output()
    return status


def parse(words: Sequence[str], arguments: argparse.Namespace) -> None:
    """Parse a command line, with the defaults of the environment and of the configuration file.

    Parameters
    ----------
    words : sequence of str
        Those after ``sodbench``.
    arguments : argparse.Namespace
        Where the options are stored, and ``words`` themselves.

    Raises
    ------
    SystemExit
        For ``--help``, ``--version`` and words that argparse refuses (status 2).
    """
    file = None if {"-h", "--help", "--version"} & set(words) else find_configuration()
    # the names in the file are compared with those of all commands
    parser = build_parser(COMMANDS if file else _find_command(words))
    if file:
        apply_defaults(dict(command_parsers(parser)), file)
    arguments.words = list(words)
    parser.parse_args(words, arguments)


def _find_command(words: Sequence[str]) -> Sequence[str]:
    """The command that is given, because the options of all take ten times as long; all where that is not plain."""
    for word in words:
        if word in COMMANDS:
            return (word,)
        if word not in MESSAGE_FLAGS:
            break
    return COMMANDS


def _run(arguments: argparse.Namespace) -> int:
    import logging
    import platform

    from sodbench.console import Messages, logger, show_messages

    if arguments.quiet and arguments.verbose:
        raise SodbenchError("give either --quiet or --verbose, not both")
    # of the processes that torchrun starts, the first one reports for all
    first = os.environ.get("RANK", "0") == "0"
    messages = Messages(
        quiet=bool(arguments.quiet) or not first,
        verbose=bool(arguments.verbose) and first,
        log_file=arguments.log_file if first else None,
    )
    started = time.monotonic()
    with show_messages(messages), _one_line_warnings():
        if logger.isEnabledFor(logging.DEBUG):
            # platform() starts a program
            logger.debug(
                f"sodbench {__version__}, Python {platform.python_version()}, {platform.platform()}"
            )
            logger.debug(f"command: {shlex.join(['sodbench', *arguments.words])}")
        if arguments.settings:
            logger.info(describe_settings(arguments.settings))
        try:
            status = _run_command(arguments)
        except BaseException as error:
            # printed after all messages; the file keeps it, too
            status, lines = _explain(error, arguments)
            for line in (*lines, *(_trace(error) if status == INTERNAL else ())):
                logger.error(line, extra={"file_only": True})
            raise
        finally:
            logger.debug(f"took {time.monotonic() - started:.1f} s")
        return 0 if status == 1 and getattr(arguments, "exit_zero", False) else status


def _run_command(arguments: argparse.Namespace) -> int:
    _check_address_space()
    # Pillow's warnings name no file; the decoder reports the same with the file's name
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # only the bar lags
    warnings.filterwarnings("ignore", message="tqdm:disabling monitor")
    return int(arguments.run(arguments))


def _shows_tracebacks(arguments: argparse.Namespace) -> bool:
    return bool(getattr(arguments, "verbose", None) or os.environ.get("SODBENCH_TRACEBACK"))


def _check_address_space() -> None:
    """Refuse to start where the compiled libraries would abort or hang for lack of address space."""
    try:
        import resource
    except ImportError:
        # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:
        raise SodbenchError(
            f"the address space is limited to {limit / 2**20:.0f} MiB, and {MIN_ADDRESS_SPACE / 2**20:.0f} MiB "
            "are the minimum; raise the limit (ulimit -v unlimited)"
        )


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print Python warnings as one line each, quoted content escaped, without source code."""
    before = warnings.formatwarning

    def format_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> str:
        return printable(f"sodbench: warning: {message} ({category.__name__})") + "\n"

    warnings.formatwarning = format_warning
    try:
        yield
    finally:
        warnings.formatwarning = before


# ------------------------------------------------------------------------------------------ errors


def _explain(error: BaseException, arguments: argparse.Namespace) -> tuple[int, Sequence[str]]:
    """The exit status and the lines of the message for anything that a command raised."""
    match error:
        case _ if is_interrupt(error):
            return INTERRUPTED, [_after_interrupt(arguments)]
        case SodbenchError():
            return REFUSED, error.lines or ["failed"]
        case _ if _is_memory(error):
            detail = f" ({error})" if str(error) else ""
            return REFUSED, [f"not enough memory{detail}{_less_memory(arguments)}"]
        case BrokenPipeError():
            return PIPE_CLOSED, [""]
        case OSError():
            return REFUSED, [_describe_os_error(error)]
        case ModuleNotFoundError() if error.name and not error.name.startswith("sodbench"):
            module = error.name.partition(".")[0]
            install = EXTRAS.get(module, module)
            advice = f": pip install {install}" if module.isidentifier() else ""
            return REFUSED, [f"this command needs {module}, which is not installed{advice}"]
        case ImportError() if error.name and not error.name.startswith("sodbench"):
            return REFUSED, [f"{error.name} is installed, but cannot be imported: {error}"]
        case RuntimeError() if "can't start new thread" in str(error):
            return REFUSED, [
                "no thread can be started: the limit on processes (ulimit -u) is reached; raise it, or end others"
            ]
        case _:
            what = f"internal error: {type(error).__name__}: {error}"
            return INTERNAL, [
                f"{what}; please report it with the command (--verbose shows where it happened)"
            ]


def _trace(error: BaseException) -> list[str]:
    import traceback

    return "".join(traceback.format_exception(error)).splitlines()


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = {
        # torch
        RuntimeError: ("can't allocate memory", "out of memory"),
        # the loader of libraries
        ImportError: ("failed to map segment", "Cannot allocate memory"),
    }
    return isinstance(error, MemoryError) or any(
        isinstance(error, kind) and any(word in str(error) for word in known)
        for kind, known in words.items()
    )


def _less_memory(arguments: argparse.Namespace) -> str:
    for option in ("jobs", "batch_size"):
        if hasattr(arguments, option):
            return f"; try a smaller --{option.replace('_', '-')}, or end other programs"
    return "; end other programs"


def _describe_os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason += "; make room and run the same command again"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(names)}: {reason}" if names else reason


def _after_interrupt(arguments: argparse.Namespace) -> str:
    """What an interrupted command leaves behind."""
    resumed: str | None = getattr(arguments, "resumed", None)
    if resumed is None:
        return "interrupted"
    if getattr(arguments, "output", "") is None:
        return f"interrupted; nothing was stored, but with -o DIR {resumed}"
    return f"interrupted; {resumed}"


# ----------------------------------------------------------------------------------------- streams


def _prepare_streams() -> None:
    """Give closed streams a place to go, and show what an encoding cannot print as escapes."""
    for name in ("stdin", "stdout", "stderr"):
        # A closed stream is None, and its number would go to the next file that is opened. Writing to a
        # standard output that was closed must fail, so it is opened for reading.
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _flushed_output() -> Iterator[None]:
    """Flush standard output after the block, however it ends; ``--help`` raises SystemExit."""
    try:
        yield
    finally:
        _flush_output()


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SodbenchError(f"standard output: cannot be written ({reason})") from error


def _print_error(lines: Sequence[str]) -> None:
    first, *others = lines
    if not first:
        return
    prefix = "" if first.startswith(("interrupted", "internal error")) else "error: "
    # no one can read it
    with suppress(OSError, ValueError):
        text = [f"sodbench: {prefix}{first}", *others]
        print(*map(printable, text), sep="\n", file=sys.stderr, flush=True)


def _discard_output() -> None:
    """Let what standard output still holds go nowhere; Python would complain at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
