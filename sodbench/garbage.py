"""What the garbage collector looks through."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def freeze_gc() -> Iterator[None]:
    """Keep the garbage collector from scanning what is there now again and again: modules, and names and paths of files.

    A program that has frozen objects itself is left alone: its objects would be unfrozen with the others.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
