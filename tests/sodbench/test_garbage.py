"""When the garbage collector runs."""

import gc

import pytest

from sodbench.garbage import pause_gc


def test_no_collection_runs_in_the_block_and_its_objects_are_old_afterwards():
    runs = []

    def note(phase, info):
        runs.append(phase)

    gc.callbacks.append(note)
    try:
        with pause_gc():
            with pause_gc():
                objects = [[] for _ in range(10_000)]
            assert not gc.isenabled() and not runs
        assert gc.isenabled() and not gc.get_freeze_count()
        # they would be among the youngest, which the next run visits
        young = {id(one) for one in gc.get_objects(generation=0)}
        assert young.isdisjoint(map(id, objects))
    finally:
        gc.callbacks.remove(note)


def test_a_program_without_collections_or_with_frozen_objects_keeps_its_choice():
    gc.disable()
    try:
        with pause_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with pytest.raises(ZeroDivisionError), pause_gc():
            raise ZeroDivisionError
        assert gc.isenabled() and gc.get_freeze_count() >= frozen > 0
    finally:
        gc.unfreeze()
