"""``sodbench completion``: a script that completes commands, options and files in a shell."""

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Add ``completion`` to the command line."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands and options in a shell",
        description="Print a script with which a shell completes commands, options, choices, names of metrics and protocols, and files.",
        epilog="examples:\n"
        "  sodbench completion bash > ~/.local/share/bash-completion/completions/sodbench\n"
        "  sodbench completion zsh > ~/.zfunc/_sodbench    (a folder of $fpath)",
    )
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from sodbench.cli import build_parser, command_parsers
    from sodbench.cli.values import path
    from sodbench.console import show
    from sodbench.metrics.catalogue import METRICS
    from sodbench.metrics.protocols import PROTOCOLS

    # names that options take without offering them as choices to argparse, because plug-ins may add more
    names = {"protocol": (*PROTOCOLS, "all"), "metrics": tuple(METRICS)}
    parser = build_parser()
    for _, command in command_parsers(parser):
        for action in command._actions:
            if action.type is path:
                completed: Any = action
                completed.complete = shtab.FILE
            elif action.dest in names:
                action.choices = names[action.dest]
    show(shtab.complete(parser, arguments.shell).rstrip("\n"))
    return 0
