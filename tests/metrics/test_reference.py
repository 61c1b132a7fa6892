"""Every metric from counts against the same metric from pixels, under the protocols of the classical evaluators.

`codtoolbox` and `torch` differ from them in more places, and have twins of their own in test_public_evaluators.py.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from reference import pixels
from reference.pairs import pairs

from sodbench.metrics import PROTOCOLS, PreparedMask, count_pair, per_image_metrics
from sodbench.metrics.protocols import MATLAB_RULE, STANDARD_RULE
from sodbench.metrics.schemes import COUNTS_ONLY

CLASSICAL = [PROTOCOLS[name] for name in ("salmetric", "pysodmetrics", "matlab")]
CLOSE = {"abs": 1e-12, "rel": 1e-12}
ONE_PIXEL = (np.full((1, 1), 7, np.uint8), np.full((1, 1), 255, np.uint8))


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_the_joint_histogram(pair):
    map_, mask = pair
    counts = count_pair(map_, PreparedMask(mask, COUNTS_ONLY)).counts
    for rule in (STANDARD_RULE, MATLAB_RULE):
        expected = pixels.joint(map_, mask, rule.foreground_above, rule.centroid)
        assert (counts.for_rule(rule).histogram[0] == expected).all()
    assert counts.absolute_error == np.abs(map_.astype(int) - mask).sum()


@pytest.mark.parametrize("height", [1, 15, 16, 17, 351, 352, 353, 1000])
@pytest.mark.parametrize("width", [1, 7, 64, 131])
def test_the_levels_and_the_split_of_a_mask(height, width):
    rng = np.random.default_rng(height * width)
    for share in (0.0, 0.02, 0.6, 1.0):
        mask = np.where(rng.random((height, width)) < share, 255, 0).astype(np.uint8)
        assert PreparedMask(mask).levels == tuple(np.unique(mask))
        mask[rng.integers(height), rng.integers(width)] = 77
        prepared = PreparedMask(mask)
        assert prepared.levels == tuple(np.unique(mask)) and not prepared.is_binary
        for rule, split in prepared.splits.items():
            foreground = mask > rule.foreground_above
            assert split[1:] == pixels.split(foreground, rule.centroid)


@pytest.mark.parametrize("rules", CLASSICAL, ids=lambda rules: rules.name)
@given(pair=pairs())
@example(pair=ONE_PIXEL)
@settings(max_examples=40, deadline=None)
def test_every_curve(rules, pair):
    map_, mask = pair
    result = per_image_metrics(
        count_pair(map_, PreparedMask(mask, COUNTS_ONLY)).counts, rules
    ).curves
    p = pixels.prepared(map_, rules.map)
    foreground = mask > rules.rule.foreground_above
    own = {"precision", "recall", "f"}  # in the protocol's comparison; the others in PySODMetrics'
    for t in range(0, 256, 5):
        binary = pixels.selected(p, t, rules.comparison)
        smoothed = pixels.binary_metrics(binary, foreground, rules.smoothing)
        secondary = pixels.selected(p, t, rules.secondary_comparison)
        plain = pixels.binary_metrics(secondary, foreground)
        plain["e"] = pixels.e_measure(secondary, foreground)
        ppv = pixels.binary_metrics(secondary, foreground, rules.smoothing)["precision"]
        for name, curve in result.items():
            others = {**plain, "tpr": plain["recall"], "ppv": ppv}
            others["level_share"] = (map_ == t).mean()
            others["level_foreground"] = ((map_ == t) & foreground).mean()
            expected = smoothed[name] if name in own else others[name]
            if rules.empty_masks == "exclude" and (
                (name in own and not foreground.any())
                or (name in ("tpr", "fpr", "ppv") and (not foreground.any() or foreground.all()))
            ):
                expected = np.nan
            assert curve[0, t] == pytest.approx(expected, nan_ok=True, **CLOSE), (name, t)


@pytest.mark.parametrize("rules", CLASSICAL, ids=lambda rules: rules.name)
@given(pair=pairs())
@example(pair=ONE_PIXEL)
@settings(max_examples=150, deadline=None)
def test_every_scalar(rules, pair):
    map_, mask = pair
    result = per_image_metrics(count_pair(map_, PreparedMask(mask)).counts, rules).scalars
    p = pixels.prepared(map_, rules.map)
    foreground = mask > rules.rule.foreground_above

    truth = mask / 255 if rules.mae_mask == "raw" else foreground
    mae = pixels.mae(pixels.prepared(map_, rules.mae_map), truth)
    if rules.constant_mae == "undefined" and map_.min() == map_.max():
        mae = np.nan
    assert result["mae"][0] == pytest.approx(mae, nan_ok=True)
    exact = rules.map == "maximum"
    s = pixels.s_measure(p, foreground, rules.rule.centroid, exact)
    assert result["s"][0] == pytest.approx(s, nan_ok=True, **CLOSE)
    assert result["wf"][0] == pytest.approx(pixels.weighted_f(p, foreground), **CLOSE)
    binary = pixels.adaptively_selected(map_, rules.map)
    adaptive = pixels.binary_metrics(binary, foreground)
    adaptive["e"] = pixels.e_measure(binary, foreground)
    for name, expected in adaptive.items():
        assert result[f"{name}_adp"][0] == pytest.approx(expected, **CLOSE), name
