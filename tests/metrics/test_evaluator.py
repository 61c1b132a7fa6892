"""The array interface: what it accepts, what it refuses, and that merging changes nothing."""

import pickle
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sodbench.metrics import (
    PROTOCOLS,
    CountingScheme,
    Counts,
    Evaluator,
    PreparedMask,
    count_pair,
    score,
)
from sodbench.metrics.protocols import MATLAB_RULE, CountingRule


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


def test_pairs_are_counted_together_as_one_by_one():
    """Grey masks, which differ under another rule, and names on some pairs only."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256, (60, 5, 6), np.uint8)
    masks = rng.integers(0, 256, (60, 5, 6), np.uint8)
    masks[::3] = np.where(masks[::3] > 99, 255, 0)
    names = [f"image-{n}" if n % 5 else None for n in range(60)]
    evaluator, halves = Evaluator("matlab"), [Evaluator("matlab"), Evaluator("matlab")]
    for n, (map_, mask, name) in enumerate(zip(maps, masks, names, strict=True)):
        evaluator.update(map_, mask, name)
        halves[n % 2].update(map_, mask, name)
        if n in (10, 30):
            evaluator.compute()
    pairs = [
        count_pair(m, PreparedMask(g, evaluator.counts.scheme))
        for m, g in zip(maps, masks, strict=True)
    ]
    one_by_one = Counts.concatenate(p.counts for p in pairs)
    assert same_counts(evaluator.counts, one_by_one)
    assert same_counts(pickle.loads(pickle.dumps(halves[1])).counts, one_by_one[1::2])
    halves[0].merge(halves[1])
    assert same_counts(halves[0].counts, one_by_one[[*range(0, 60, 2), *range(1, 60, 2)]])
    assert halves[0].compute().metrics == evaluator.compute().metrics


def same_counts(one, other):
    arrays = [
        [
            *(array for held in counts.deviations.values() for array in held),
            counts.histogram,
            counts.size,
            counts.absolute_error,
            counts.tie_flags,
            *counts.pixel_metrics.values(),
        ]
        for counts in (one, other)
    ]
    return all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
        for a, b in zip(*arrays, strict=True)
    )


def test_an_evaluator_keeps_no_images():
    map_, mask = (image.copy() for image in PAIRS[0])
    images = [weakref.ref(map_), weakref.ref(mask)]
    evaluator = Evaluator()
    evaluator.update(map_, mask)
    del map_, mask
    assert [image() for image in images] == [None, None]


def test_floats_are_quantised_to_the_nearest_level_halves_to_even():
    _, mask = PAIRS[0]
    levels = np.linspace(0, 1, mask.size).reshape(mask.shape)
    as_float, as_bytes = Evaluator(), Evaluator()
    as_float.update(levels, mask)
    as_bytes.update(np.rint(levels * 255).astype(np.uint8), mask)
    assert as_float.compute().metrics == as_bytes.compute().metrics


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.5, np.inf])
def test_values_out_of_range_are_refused_with_their_position(wrong):
    map_ = np.zeros((4, 5))
    map_[2, 3] = wrong
    with pytest.raises(ValueError, match=r"\(0, 2, 3\)"):
        Evaluator().update(map_, np.ones((4, 5), bool))


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match="int64"):
        Evaluator().update(np.zeros((4, 5), np.int64), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="shape"):
        Evaluator().update(np.zeros((1, 3, 4, 5)), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="5x4"):
        Evaluator().update(np.zeros((4, 6)), np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="no pixels"):
        Evaluator().update(np.zeros((0, 5)), np.ones((0, 5), bool))
    with pytest.raises(ValueError, match="no pair"):
        Evaluator().compute()


def test_a_name_can_be_used_once():
    evaluator = evaluated([0], named=True)
    with pytest.raises(ValueError, match="image-0"):
        evaluator.update(*PAIRS[0], name="image-0")
    with pytest.raises(ValueError, match="image-0"):
        evaluator.merge(evaluated([0], named=True))


def test_batches_of_torch_tensors_are_accepted():
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


def test_a_batch_is_added_whole_or_not_at_all():
    evaluator = Evaluator()
    with pytest.raises(ValueError, match="5x4"):
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
counts = count_pair(rng.integers(0, 256, mask.shape, np.uint8), PreparedMask(mask)).counts
together = threading.Barrier(4)

def work():
    together.wait()
    score(counts, "pysodmetrics", ["a"])

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_the_first_scores_of_a_process_may_be_computed_in_several_threads():
    """As a report does: nothing is compiled twice, and there is no warning."""
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", IN_THREADS],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0 and not ran.stderr, ran.stderr


def same(one, other):
    """Whether two sets of aggregates are equal, bit for bit."""
    return one.keys() == other.keys() and all(
        one[name] == other[name] or (np.isnan(one[name]) and np.isnan(other[name])) for name in one
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64])
def test_an_integer_mask_of_zeros_and_ones_is_a_bool_mask(dtype):
    map_, mask = PAIRS[0]
    classes, as_bool = Evaluator(), Evaluator()
    classes.update(map_, (mask > 0).astype(dtype))
    as_bool.update(map_, mask > 0)
    assert same(classes.compute().metrics, as_bool.compute().metrics)
    assert classes.compute().metrics["f_max"] < 1


def test_a_mask_of_other_integers_is_refused():
    map_, mask = PAIRS[0]
    for wrong in (mask.astype(np.int64), np.where(mask, -1, 0), np.full(mask.shape, 2)):
        with pytest.raises(ValueError, match="integers that are all 0 or 1"):
            Evaluator().update(map_, wrong)


def test_masks_with_two_codings_in_one_batch_are_refused():
    maps, masks = np.stack([PAIRS[0][0]] * 2), np.stack([PAIRS[0][1]] * 2)
    masks[0] //= 255
    with pytest.raises(ValueError, match="pass all of them as bool"):
        Evaluator().update(maps, masks)


def test_a_uint8_map_of_zeros_and_ones_is_refused_unless_it_is_black():
    map_, mask = PAIRS[0]
    evaluator = Evaluator()
    with pytest.raises(ValueError, match="its largest value is 1"):
        evaluator.update((map_ > 99).astype(np.uint8), mask)
    assert len(evaluator) == 0
    evaluator.update(np.zeros_like(map_), mask)
    # a float map has one reading, also when it is almost black
    evaluator.update(np.full(map_.shape, 1 / 255), mask)
    assert evaluator.compute().per_image["mae"].iloc[1] > 0


def test_a_value_slightly_out_of_range_is_clipped():
    _, mask = PAIRS[0]
    over = np.where(mask, 1 + 1e-7, -1e-7)
    clipped, exact = Evaluator(), Evaluator()
    clipped.update(over, mask)
    exact.update(mask > 0, mask)
    assert same(clipped.compute().metrics, exact.compute().metrics)
    with pytest.raises(ValueError, match="outside"):
        Evaluator().update(np.where(mask, 1 + 1e-5, 0), mask)


def test_the_advice_fits_the_values():
    map_, mask = PAIRS[0]
    grey, logits = map_.astype(float), map_ / 10.0 - 9
    with pytest.raises(ValueError, match="divide grey levels") as raised:
        Evaluator().update(grey, mask)
    assert "sigmoid" not in str(raised.value)
    with pytest.raises(ValueError, match="apply a sigmoid to logits") as raised:
        Evaluator().update(logits, mask)
    assert "255" not in str(raised.value)
    with pytest.raises(ValueError, match="divide grey levels") as raised:
        Evaluator().update(map_, mask.astype(float))
    assert "sigmoid" not in str(raised.value)
    with pytest.raises(ValueError, match="NaN or infinity"):
        Evaluator().update(np.full(mask.shape, np.nan), mask)


def test_a_list_may_hold_arrays_of_different_sizes():
    pairs = [
        pair(seed, 20 + seed, 3 + seed) for seed in range(3)
    ]  # one of them is three pixels wide
    one_by_one, listed = Evaluator(), Evaluator()
    for map_, mask in pairs:
        one_by_one.update(map_, mask)
    listed.update([map_ for map_, _ in pairs], [mask for _, mask in pairs])
    assert same(listed.compute().metrics, one_by_one.compute().metrics)
    with pytest.raises(ValueError, match=r"item 1 has shape \(2, 20, 3\)"):
        Evaluator().update([pairs[0][0], np.zeros((2, 20, 3))], [pairs[0][1]] * 2)


def test_reset_forgets_all_pairs_and_repr_counts_them():
    evaluator = evaluated(range(3), named=True)
    assert repr(evaluator) == "Evaluator('pysodmetrics') with 3 pairs"
    evaluator.reset()
    assert repr(evaluator) == "Evaluator('pysodmetrics') with 0 pairs"
    evaluator.update(*PAIRS[0], name="image-0")
    assert same(evaluator.compute().metrics, evaluated([0], named=True).compute().metrics)


# -- protocols of one's own -------------------------------------------------------------------------


def grey_pair(seed=3):
    """A mask of three grey levels, whose foreground depends on the rule."""
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 60, 255], np.uint8), (24, 31), p=[0.5, 0.2, 0.3])
    return rng.integers(0, 256, mask.shape, dtype=np.uint8), mask


@pytest.mark.parametrize("base", ["salmetric", "pysodmetrics", "matlab"])
@pytest.mark.parametrize("above", [0, 25, 59, 60, 100, 128, 254])
def test_a_custom_protocol_is_counted_by_its_own_rule(base, above):
    """A mask of grey levels under a rule is the binary mask of that rule."""
    rules = replace(
        PROTOCOLS[base],
        name="own",
        mae_map="raw",
        mae_mask="binary",
        constant_mae="bytes",
        rule=CountingRule(above, "half-even"),
    )
    binary = replace(rules, rule=CountingRule(128, "half-even"))
    map_, mask = grey_pair()
    own, expected = Evaluator(rules), Evaluator(binary)
    own.update(map_, mask)
    expected.update(map_, mask > above)
    assert same(own.compute().metrics, expected.compute().metrics)


@pytest.mark.parametrize("map_rule", ["raw", "min-max", "maximum"])
def test_weighted_f_uses_the_foreground_of_the_protocol(map_rule):
    """Also where only the preparation is not the one that a rule is usually counted with."""
    map_, mask = grey_pair()
    for rule in (CountingRule(128, "half-even"), MATLAB_RULE):
        rules = replace(PROTOCOLS["pysodmetrics"], name="own", map=map_rule, rule=rule)
        own, expected = (
            Evaluator(rules),
            Evaluator(replace(rules, rule=CountingRule(128, "half-even"))),
        )
        own.update(map_, mask)
        expected.update(map_, mask > rule.foreground_above)
        assert own.compute().metrics["wf"] == expected.compute().metrics["wf"]


def test_counts_refuse_a_rule_that_they_do_not_hold():
    usual, own = (
        Evaluator(),
        Evaluator(replace(PROTOCOLS["salmetric"], name="own", rule=CountingRule(100, "half-even"))),
    )
    for evaluator in (usual, own):
        evaluator.update(*grey_pair())
    with pytest.raises(ValueError, match=r"foreground >100.*only.*>128.*>25"):
        usual.compute(own.protocol)
    with pytest.raises(ValueError, match=r"foreground >99.*only.*>128.*>25.*>100"):
        own.compute(replace(own.protocol, rule=CountingRule(99, "half-even")))
    with pytest.raises(ValueError, match="different rules"):
        usual.merge(own)
    with pytest.raises(ValueError, match=r"centroid rounded before.*made for this protocol"):
        usual.compute("torch")  # counted on request only
    for name in (
        "salmetric",
        "pysodmetrics",
        "matlab",
        "codtoolbox",
    ):  # counted for every evaluator
        assert same(own.compute(name).metrics, usual.compute(name).metrics)


def test_counts_of_two_custom_protocols_are_kept_apart():
    """Three rules on one mask: each gives the numbers of the binary mask that it selects."""
    map_, mask = grey_pair()
    binary = PROTOCOLS["pysodmetrics"]
    own = [replace(binary, name=f"above{t}", rule=CountingRule(t, "half-even")) for t in (30, 254)]
    scheme = CountingScheme.for_protocols(own)
    counts = Counts.concatenate([count_pair(map_, PreparedMask(mask, scheme)).counts] * 2)
    for protocol in own:
        white = (mask > protocol.rule.foreground_above) * np.uint8(255)
        expected = score(count_pair(map_, PreparedMask(white)).counts, binary, ["a"]).metrics
        assert same(score(counts[1:], protocol, ["a"]).metrics, expected)
        assert same(score(counts[[1]], protocol, ["a"]).metrics, expected)


def test_constant_blocks_are_treated_as_in_pysodmetrics_under_every_rule():
    """The rounding of numpy's mean decides whether a constant block has a spread; the flags are kept per rule."""
    usual = PROTOCOLS["pysodmetrics"]
    own = replace(usual, name="own", rule=CountingRule(50, "half-even"))
    differing = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mask = np.zeros((31, 37), np.uint8)
        mask[:3], mask[:, :3] = (
            255,
            60,
        )  # none of it in the quadrant below and right of its centroid
        map_ = rng.integers(0, 256, mask.shape, dtype=np.uint8)
        map_[3:, 3:] = rng.integers(1, 255)
        evaluator = Evaluator(own, pixel_metrics=())
        evaluator.update(map_, mask)
        expected = Evaluator(usual, pixel_metrics=())
        expected.update(map_, mask > 50)
        assert same(evaluator.compute().metrics, expected.compute().metrics)
        counts = evaluator.counts
        differing += bool((counts.for_rule(own.rule).tie_flags & 15).any())
    assert differing


def test_counts_refuse_weighted_f_of_another_foreground():
    usual = Evaluator("salmetric")
    usual.update(*grey_pair())
    own = replace(PROTOCOLS["matlab"], name="own", rule=CountingRule(128, "half-even"))
    with pytest.raises(
        ValueError, match=r"wf was computed for .*the maximum map with foreground >25"
    ):
        usual.compute(own)
    evaluator = Evaluator(own)
    evaluator.update(*grey_pair())
    assert np.isfinite(evaluator.compute().metrics["wf"])
    without = Evaluator("salmetric", pixel_metrics=())
    without.update(*grey_pair())
    assert np.isnan(without.compute(own).metrics["wf"])


@pytest.mark.parametrize("wrong", [-1, 255, 127.5, True, "128"])
def test_an_invalid_rule_is_refused(wrong):
    with pytest.raises(ValueError, match=r"0\.\.254"):
        CountingRule(wrong, "half-even")


@pytest.mark.parametrize(
    "wrong",
    [
        {"mae_mask": "raw"},  # the mask as stored is compared with the map as stored
        {"constant_mae": "undefined", "mae_map": "raw"},
        {"map": "minmax"},
        {"comparison": ">>"},
        {"empty_masks": "drop"},
    ],
)
def test_a_protocol_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PROTOCOLS["pysodmetrics"], name="own", **wrong)


def test_numbers_of_unnamed_pairs_avoid_the_given_names():
    evaluator = Evaluator()
    dot = np.eye(5)
    evaluator.update(dot, dot)
    evaluator.update(1 - dot, dot, name="0")
    evaluator.update(dot, dot, name="#0")
    evaluator.update(dot, dot)
    assert evaluator.compute().per_image.index.tolist() == ["##0", "0", "#0", "3"]


def test_names_are_text():
    evaluator = Evaluator()
    with pytest.raises(TypeError, match=r"a name is text, not 7; pass str\(name\)"):
        evaluator.update([np.eye(5)] * 2, [np.eye(5)] * 2, name=["a", 7])
    assert len(evaluator) == 0


def evaluators_of_two_ranks(named=True):
    """Five images on two ranks, of which a DistributedSampler repeats the first."""
    ranks = []
    for numbers in ((0, 2, 4), (1, 3, 0)):
        evaluator = Evaluator(pixel_metrics=())
        for number in numbers:
            map_ = np.random.default_rng(number).random((8, 9))
            evaluator.update(map_, map_ > 0.6, name=f"{number}" if named else None)
        ranks.append(evaluator)
    return ranks


def test_samples_that_a_sampler_repeats_are_refused_or_dropped(monkeypatch):
    ranks = evaluators_of_two_ranks()

    class Group:
        """What gather() calls of torch.distributed."""

        is_initialized = staticmethod(lambda: True)
        get_world_size = staticmethod(lambda: 2)

        @staticmethod
        def all_gather_object(every, _):
            every[:] = ranks

    monkeypatch.setitem(sys.modules, "torch.distributed", Group)
    with pytest.raises(ValueError, match=r"both evaluators hold the pair '0' .*repeated='drop'"):
        ranks[0].gather()
    collected = ranks[0].gather(repeated="drop")
    assert len(collected) == 5 and len(ranks[0]) == 3
    alone = Evaluator(pixel_metrics=())
    for number in range(5):
        map_ = np.random.default_rng(number).random((8, 9))
        alone.update(map_, map_ > 0.6, name=f"{number}")
    assert same(collected.compute().metrics, alone.compute().metrics)
    ranks[:] = evaluators_of_two_ranks(named=False)
    with pytest.raises(ValueError, match="needs a name for every pair"):
        ranks[0].gather(repeated="drop")


def test_without_a_process_group_gather_is_a_copy(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    evaluator, _ = evaluators_of_two_ranks()
    assert same(evaluator.gather().compute().metrics, evaluator.compute().metrics)
