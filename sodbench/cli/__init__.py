"""The command line: argparse only.  Each command is one light module that imports its runner to run.

A command module offers ``add_parser(commands)`` and ``run(arguments) -> int`` (the exit status).
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from sodbench import __version__
from sodbench.errors import SodbenchError

COMMANDS = (
    "run",
    "eval",
    "predict",
    "report",
    "train",
    "compare",
    "bench",
    "export",
    "merge",
    "verify",
    "data",
)


class _Command(argparse.ArgumentParser):
    """The parser of one command (and of its own commands), which takes ``--quiet`` as the program does."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        _add_quiet(self, default=argparse.SUPPRESS)  # not given here: what was said before stays


def _add_quiet(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument(
        "--quiet",
        action="store_true",
        default=default,
        help="no progress bars, no messages but errors",
    )


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, without any heavy import."""
    parser = argparse.ArgumentParser(
        prog="sodbench",
        description="Measure salient object detection: train, predict, score, report.",
        epilog="'sodbench COMMAND --help' explains one command; 'sodbench run --sample' shows everything "
        "at work in a few minutes, without any data.",
    )
    parser.add_argument("--version", action="version", version=f"sodbench {__version__}")
    _add_quiet(parser, default=False)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Command
    )
    for name in COMMANDS:
        importlib.import_module(f"sodbench.cli.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 clean, 1 finished with problems, 2 refused)."""
    arguments = build_parser().parse_args(argv)
    from sodbench.progress import set_quiet

    set_quiet(arguments.quiet)
    # what Pillow warns of names no file; the decoder says the same with the file's name
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        return int(arguments.run(arguments))
    except SodbenchError as error:
        print(f"sodbench: error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemError) as error:
        if not _is_interrupt(error):
            raise
        kept = getattr(arguments, "output", "") is not None
        way = "the same command" if kept else "nothing was kept; with -o DIR the same command"
        print(f"sodbench: interrupted; {way} goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C was pressed; within compiled code it comes out as the cause of a SystemError."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__cause__)
    )
