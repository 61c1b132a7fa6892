"""``sodbench config``: the defaults that hold here, and where they are from."""

import argparse
import os
from typing import Any

from sodbench.cli.options import DATA_VARIABLE, add_format
from sodbench.errors import SodbenchError
from sodbench.quoting import json_text, printable

# Variables that change what commands do.
VARIABLES = (DATA_VARIABLE, "SODBENCH_CONFIG", "NUMBA_CACHE_DIR")


def add_parser(commands: Any) -> None:
    """Add ``config`` to the command line."""
    parser = commands.add_parser(
        "config",
        help="show the defaults that hold in this folder, and where they are from",
        description="Show which file gives options other defaults in this folder, and what these are. The file is "
        "sodbench.toml, or pyproject.toml with the table [tool.sodbench], in the working folder or, within a "
        "repository, in a folder above it. A key is the long name of an option, at the top for all commands or in a table "
        "named after a command. $SODBENCH_CONFIG names another file; empty, it turns files off.",
        epilog="example of a sodbench.toml:\n"
        '  data-root = "/data/sod"\n'
        '  protocol = "pysodmetrics"\n\n'
        "  [eval]\n"
        '  metrics = ["mae", "f_max", "s"]\n',
    )
    add_format(parser, ("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the defaults; a file that cannot be used ends in an error."""
    from sodbench.cli import build_parser, command_parsers
    from sodbench.cli.defaults import apply_defaults, find_configuration
    from sodbench.console import show
    from sodbench.reports.text import format_table

    file = find_configuration()
    commands = dict(command_parsers(build_parser()))
    if file:
        apply_defaults(commands, file)
    rows = []
    for name, command in commands.items():
        for setting in command.settings:
            try:
                words = setting.words
            except ValueError as error:
                raise SodbenchError(str(error)) from error
            rows.append((name, words[0], words[1:]))
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    if arguments.format == "json":
        settings = [{"command": c, "option": o, "values": v} for c, o, v in rows]
        show(
            json_text(
                {
                    "file": str(file) if file else None,
                    "environment": variables,
                    "settings": settings,
                }
            )
        )
        return 0
    lines = [
        f"file: {printable(file) if file else 'none (sodbench.toml, or [tool.sodbench] in pyproject.toml)'}"
    ]
    lines += [f"environment: {name}={printable(value)}" for name, value in variables.items()]
    if rows:
        cells = [(f"sodbench {c}", o, printable(" ".join(v) if v else "yes")) for c, o, v in rows]
        lines += ["", format_table(("command", "option", "default"), cells, align="lll")]
    show("\n".join(lines))
    return 0
