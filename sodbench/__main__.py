"""The process of the ``sodbench`` command, also as ``python -m sodbench``: it ends with the command's status."""

import atexit
import os
import signal
import sys
from contextlib import suppress
from typing import Any

_INTERRUPTED = 130


def main() -> int:
    """Run the command that the arguments of this process name.

    In contrast to `sodbench.cli.main`, Ctrl-C may also come before and after the command, while Python imports it or
    ends: there is no traceback, and the status is the command's.

    Returns
    -------
    int
        The exit status.
    """
    # the last that is done: what of Python is left then cannot be interrupted without a traceback
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    status: Any = _INTERRUPTED
    try:
        from sodbench.cli import main as run_command

        status = run_command()
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        # some of what an import calls raises another error from it
        if not isinstance(error.__cause__ or error, KeyboardInterrupt):
            raise
        with suppress(OSError):
            os.write(2, b"sodbench: interrupted\n")
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
