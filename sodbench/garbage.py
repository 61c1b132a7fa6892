"""When the garbage collector runs, and what it looks through."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_gc() -> Iterator[None]:
    """Keep the garbage collector from running in a block that makes many objects and no garbage, such as paths and pairs.

    It would visit them again and again: for 16,784 pairs this takes a sixth of the time of planning.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # puts all objects among the old ones, or the next run would visit those of the block once more
            gc.freeze()
            gc.unfreeze()
        gc.enable()


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
