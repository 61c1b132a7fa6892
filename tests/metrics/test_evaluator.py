"""The array interface: what it accepts, what it refuses, and that merging changes nothing."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sodbench.metrics import Evaluator


def pair(seed, height=24, width=31):
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < rng.random()).astype(np.uint8) * 255
    return rng.integers(0, 256, (height, width), dtype=np.uint8), mask


PAIRS = [pair(seed) for seed in range(9)]


def evaluated(seeds, named=False):
    evaluator = Evaluator("pysodmetrics")
    for seed in seeds:
        evaluator.update(*PAIRS[seed], name=f"image-{seed}" if named else None)
    return evaluator


@given(st.permutations(range(9)), st.integers(0, 9), st.booleans())
@settings(max_examples=30, deadline=None)
def test_merging_any_partition_in_any_order_is_bit_identical(order, cut, named):
    whole = evaluated(range(9), named).compute()
    merged = evaluated(order[cut:], named)
    merged.merge(pickle.loads(pickle.dumps(evaluated(order[:cut], named))))
    scores = merged.compute()
    assert scores.metrics == whole.metrics
    assert all((scores.curves[name] == whole.curves[name]).all() for name in whole.curves)


def test_floats_are_quantised_to_the_nearest_level_halves_to_even():
    _, mask = PAIRS[0]
    levels = np.linspace(0, 1, mask.size).reshape(mask.shape)
    as_float, as_bytes = Evaluator(), Evaluator()
    as_float.update(levels, mask)
    as_bytes.update(np.rint(levels * 255).astype(np.uint8), mask)
    assert as_float.compute().metrics == as_bytes.compute().metrics


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.5, np.inf])
def test_values_out_of_range_are_refused_with_their_place(wrong):
    map_ = np.zeros((4, 5))
    map_[2, 3] = wrong
    with pytest.raises(ValueError, match=r"\(0, 2, 3\)"):
        Evaluator().update(map_, np.ones((4, 5), bool))


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match="int64"):
        Evaluator().update(np.zeros((4, 5), np.int64), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="shape"):
        Evaluator().update(np.zeros((1, 3, 4, 5)), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="4x5"):
        Evaluator().update(np.zeros((4, 6)), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="no pixels"):
        Evaluator().update(np.zeros((0, 5)), np.ones((0, 5), bool))
    with pytest.raises(ValueError, match="no pair"):
        Evaluator().compute()


def test_a_name_is_given_once():
    evaluator = evaluated([0], named=True)
    with pytest.raises(ValueError, match="image-0"):
        evaluator.update(*PAIRS[0], name="image-0")
    with pytest.raises(ValueError, match="image-0"):
        evaluator.merge(evaluated([0], named=True))


def test_torch_tensors_in_batches_are_taken_as_they_are():
    torch = pytest.importorskip("torch")
    maps = np.stack([p for p, _ in PAIRS])
    masks = np.stack([m for _, m in PAIRS])
    evaluator = Evaluator("pysodmetrics")
    evaluator.update(
        torch.from_numpy(maps)[:, None].double() / 255, torch.from_numpy(masks)[:, None] > 128
    )
    assert evaluator.compute().metrics == evaluated(range(9)).compute().metrics
    evaluator.update(torch.rand(5, 6).bfloat16(), torch.ones(5, 6, dtype=torch.bool))
    assert len(evaluator) == 10


def test_another_protocol_needs_no_second_pass():
    evaluator = evaluated(range(9))
    direct = Evaluator("matlab")
    for map_, mask in PAIRS:
        direct.update(map_, mask)
    assert evaluator.compute("matlab").metrics == direct.compute().metrics


def test_channels_last_and_masked_arrays_are_refused():
    for channels in (1, 3):
        with pytest.raises(ValueError, match="channels last"):
            Evaluator().update(np.zeros((24, 31, channels), np.uint8), np.ones((24, 31), bool))
    with pytest.raises(TypeError, match="masked"):
        Evaluator().update(np.ma.zeros((4, 5)), np.ones((4, 5), bool))


def test_a_batch_is_taken_whole_or_not_at_all():
    evaluator = Evaluator()
    with pytest.raises(ValueError, match="4x5"):
        evaluator.update(np.zeros((2, 4, 6)), np.ones((2, 4, 5), bool))
    with pytest.raises(ValueError, match="'a'"):
        evaluator.update(np.zeros((2, 4, 5)), np.ones((2, 4, 5), bool), ["a", "a"])
    assert len(evaluator) == 0


IN_THREADS = """
import threading
import numpy as np
from sodbench.metrics import PreparedMask, count_pair, score

rng = np.random.default_rng(0)
mask = np.where(rng.random((30, 40)) < 0.4, 255, 0).astype(np.uint8)
counts = count_pair(rng.integers(0, 256, mask.shape, np.uint8), PreparedMask(mask))
together = threading.Barrier(4)

def work():
    together.wait()
    score(counts, "pysodmetrics", ["a"])

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_the_first_scores_of_a_process_may_be_computed_in_several_threads():
    """As a report does: nothing is compiled twice, and nobody is warned of it."""
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", IN_THREADS],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0 and not ran.stderr, ran.stderr
