"""``sodbench warmup``: compile everything now rather than in the first run."""

import argparse
from typing import Any

from sodbench.quoting import printable


def add_parser(commands: Any) -> None:
    """Add ``warmup`` to the command line."""
    parser = commands.add_parser(
        "warmup",
        help="compile the kernels now, for the image of a container",
        description="Compile every kernel, which the first run on a machine would do otherwise (about 30 seconds), and "
        "print the folders that hold their code: those next to the package where they are writable, else one in the "
        "user's cache folder, or NUMBA_CACHE_DIR. Code that is there already is kept.",
        epilog="Exit status: 0 the code is kept, 2 no folder is writable.\n\n"
        "example:\n"
        "  sodbench warmup\n\n"
        "In a Dockerfile, for every processor: RUN NUMBA_CPU_NAME=generic sodbench warmup",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile, and print where the code is."""
    from sodbench.console import show
    from sodbench.runners.warm_up import compile_everything

    folders = compile_everything()
    show("\n".join(printable(str(folder)) for folder in folders) or "nothing to compile")
    return 0
