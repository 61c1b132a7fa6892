"""Statistics against scipy, against published tables, and against themselves."""

import inspect

import numpy as np
import pytest
from scipy import stats

from sodbench.metrics.statistics import bootstrap as resampling
from sodbench.metrics.statistics import ranking
from sodbench.metrics.statistics import significance as st


def means(x):
    return x


def max_f(x):
    """Max F of mean precision and recall, both of 4 thresholds."""
    p, r = x[:, :4], x[:, 4:]
    return (1.3 * p * r / (0.3 * p + r)).max(axis=1, keepdims=True)


def bootstrap(statistics, aggregate, resamples=1000, seed=0):
    """The bootstrap distribution float64 [resamples, metrics] of a function of the columns' means."""
    draws = resampling.draw_resamples(len(statistics), resamples, seed)
    return np.concatenate(
        [aggregate(resampling.resampled_sums(d, statistics).means) for d in draws]
    )


needs_scipy_rng = pytest.mark.skipif(
    "rng" not in inspect.signature(stats.bootstrap).parameters,
    reason="scipy draws other resamples before 1.15",
)


@pytest.fixture
def curves():
    rng = np.random.default_rng(3)
    return rng.uniform(0.2, 1, (23, 8))


@needs_scipy_rng
def test_bootstrap_of_a_mean_equals_scipy():
    x = np.random.default_rng(0).normal(size=37)
    ours = bootstrap(x[:, None], means, resamples=600, seed=5)[:, 0]
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=600, method="percentile", rng=np.random.default_rng(5)
    )
    assert np.allclose(np.sort(ours), np.sort(theirs.bootstrap_distribution), atol=1e-12)
    interval = resampling.percentile_interval(x.mean(), ours)
    assert interval.low == pytest.approx(theirs.confidence_interval.low, abs=1e-12)
    assert interval.high == pytest.approx(theirs.confidence_interval.high, abs=1e-12)


@needs_scipy_rng
def test_bootstrap_of_max_f_equals_scipy(curves):
    def of_images(index):
        return max_f(curves[index.astype(int)].mean(axis=0)[None])[0, 0]

    ours = bootstrap(curves, max_f, resamples=300, seed=9)[:, 0]
    theirs = stats.bootstrap(
        (np.arange(len(curves)),),
        of_images,
        n_resamples=300,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(9),
    )
    assert np.allclose(np.sort(ours), np.sort(theirs.bootstrap_distribution), atol=1e-12)


def test_bootstrap_is_deterministic_and_independent_of_the_batch_size(curves, monkeypatch):
    whole = bootstrap(curves, max_f, resamples=101, seed=1)
    monkeypatch.setattr(resampling, "BATCH_SIZE", 7)
    assert np.allclose(whole, bootstrap(curves, max_f, resamples=101, seed=1), atol=1e-15)
    assert not np.array_equal(whole, bootstrap(curves, max_f, resamples=101, seed=2))


def test_undefined_images_are_left_out_of_their_own_column_only():
    x = np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 3.0]])
    once = np.ones((1, 3), np.uint8)
    assert resampling.resampled_sums(once, x).means[0] == pytest.approx([2.0, 2.0])
    first_left_out = np.array([[0, 2, 0]], np.uint8)
    assert resampling.resampled_sums(first_left_out, x).means[0] == pytest.approx(
        [np.nan, 2.0], nan_ok=True
    )


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_weighted_sums_are_a_matrix_product(precision):
    rng = np.random.default_rng(6)
    draws = rng.poisson(1, (9, 131)).astype(np.uint8)
    draws[0] = 0
    x = rng.normal(size=(131, 37)).astype(precision)
    expected = draws.astype(float) @ x.astype(float)
    tolerance = 1e-5 if precision is np.float32 else 1e-13
    assert np.allclose(resampling.weighted_sums(draws, x), expected, rtol=0, atol=tolerance)


def test_resamples_are_those_of_numpys_generator():
    drawn = np.random.default_rng([3, 4]).integers(0, 6, (300, 6))
    counted = np.stack([np.bincount(row, minlength=6) for row in drawn])
    assert np.array_equal(np.concatenate(list(resampling.draw_resamples(6, 300, (3, 4)))), counted)


def test_intervals_cover_the_true_value_about_as_often_as_they_should():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        x = rng.normal(size=80)
        interval = resampling.percentile_interval(
            x.mean(), bootstrap(x[:, None], means, 400, trial)[:, 0]
        )
        covered += interval.low <= 0 <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_p_of_the_bootstrap_agrees_with_the_paired_t_test_on_a_mean():
    rng = np.random.default_rng(2)
    a = rng.normal(0, 1, 400)
    b = a + rng.normal(0.08, 0.6, 400)
    difference = bootstrap(a[:, None], means, 4000, 3) - bootstrap(b[:, None], means, 4000, 3)
    ours = st.p_ranges(np.array([a.mean() - b.mean()]), difference.T, 400)[0]
    assert ours[0] == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=0.25)


@pytest.mark.parametrize("images", [10, 12, 15])
def test_p_of_the_bootstrap_is_the_paired_t_test_on_few_images_too(images):
    rng = np.random.default_rng(images)
    a = rng.normal(0, 1, images)
    b = a + rng.normal(0.5, 0.6, images)
    difference = (bootstrap(x[:, None], means, 20_000, 3) for x in (a, b))
    ours = st.p_ranges(np.array([a.mean() - b.mean()]), np.subtract(*difference).T, images)[0]
    assert ours[0] == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=0.05)


def test_p_of_the_bootstrap_is_undefined_for_few_images():
    assert np.isnan(st.p_ranges(np.array([0.1]), np.zeros((1, 5)), 9)).all()


def test_wilcoxon_equals_scipy_and_drops_undefined_images():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.1, 1, (2, 60))
    expected = stats.wilcoxon(a, b).pvalue
    with_undefined = np.append(a, np.nan) - np.append(b, 1.0)
    assert st.wilcoxon_p((a - b)[None]) == pytest.approx(expected, rel=1e-12)
    assert st.wilcoxon_p(with_undefined[None]) == pytest.approx(expected, rel=1e-12)
    assert st.wilcoxon_p((a - a)[None]) == 1.0
    assert np.isnan(st.wilcoxon_p(np.full((1, 60), np.nan)))


@pytest.mark.parametrize("images", [12, 40, 60])
def test_wilcoxon_of_many_rows_is_that_of_each(images):
    """For few images scipy chooses its method by all rows together: ties in one would change the p of the others."""
    rng = np.random.default_rng(5)
    rows = rng.normal(0.1, 1, (4, images))
    rows[1, 3:6] = 0
    rows[2, 7] = np.nan
    rows[3] = 0
    each = [st.wilcoxon_p(row[None])[0] for row in rows]
    assert st.wilcoxon_p(rows) == pytest.approx(each, rel=1e-12)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        # ranks 1.5, 1.5 and 3; of the sums 0, 1.5, 1.5, 3, 3, 4.5, 4.5 and 6 these are at least as far from the middle:
        ([1, 1, 2], 2 / 8),
        ([1, -1, 2], 6 / 8),
        ([1, 1, -2], 1),
        ([0, 1, 1, 0, 2], 2 / 8),
        ([-1] * 12, 2 / 2**12),
        ([-1] * 12 + [0], 2 / 2**12),
    ],
)
def test_wilcoxon_of_few_images_with_ties_by_hand(differences, p):
    assert st.wilcoxon_p(np.array([differences], float)).tolist() == [p]


def test_holm_by_hand():
    assert st.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert st.holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    kept = st.holm(np.array([0.02, np.nan, 0.03]))
    assert kept[[0, 2]] == pytest.approx([0.04, 0.04]) and np.isnan(kept[1])


def paired(images=40, pairs=3, seed=0, resamples=400):
    """Scores of single images of two methods for several metrics, which are means; compared."""
    a, b = np.random.default_rng(seed).normal(0.5, 0.1, (2, images, pairs))
    distribution = bootstrap(a, means, resamples, seed) - bootstrap(b, means, resamples, seed)
    return (
        a,
        b,
        st.compare_pairs(
            a.mean(axis=0) - b.mean(axis=0), distribution.T, (a - b).T, np.array([True] * pairs)
        ),
    )


def test_both_tests_of_a_comparison_are_corrected_over_the_comparisons_made_together():
    a, b, tests = paired(resamples=10_000)
    for i in range(3):
        assert tests[i].p == pytest.approx(stats.ttest_rel(a[:, i], b[:, i]).pvalue, rel=0.1)
        assert tests[i].p_wilcoxon == pytest.approx(stats.wilcoxon(a[:, i], b[:, i]).pvalue)
        assert tests[i].low < tests[i].difference < tests[i].high
    for name in ("p", "p_wilcoxon"):
        raw = np.array([getattr(test, name) for test in tests])
        corrected = [getattr(test, f"{name}_holm") for test in tests]
        assert corrected == pytest.approx(st.holm(raw)) and (corrected >= raw).all()


@pytest.mark.parametrize("images", [9, 10])
def test_a_comparison_of_few_images_has_no_test_but_counts_them(images):
    *_, tests = paired(images)
    for test in tests:
        assert np.isnan([test.low, test.high, test.p, test.p_holm, test.p_wilcoxon]).all() == (
            images < 10
        )
        assert test.tested == (images >= 10)
        assert test.wins + test.ties + test.losses == images


def test_images_are_won_tied_and_lost_by_the_metrics_direction():
    differences = np.array([[-0.1, 0.0, 0.2, np.nan], [-0.1, 0.0, -0.2, 0.3]])
    tests = st.compare_pairs(np.zeros(2), np.zeros((2, 5)), differences, np.array([True, False]))
    counts = [(test.wins, test.ties, test.losses) for test in tests]
    assert counts == [(1, 1, 1), (2, 1, 1)]


@pytest.mark.parametrize("images", [12, 60])
def test_methods_that_do_not_differ_are_called_different_as_often_as_the_level_says(images):
    """Max F of two exchangeable methods, 600 times: the number of p below 5 % is binomial, but for small n below it."""
    rng = np.random.default_rng(1)
    rejected = 0
    for trial in range(600):
        pair = rng.uniform(0.2, 1, (2, images, 8))
        a, b = pair
        difference = max_f(a.mean(axis=0)[None])[0] - max_f(b.mean(axis=0)[None])[0]
        distribution = bootstrap(a, max_f, 200, trial) - bootstrap(b, max_f, 200, trial)
        rejected += st.p_ranges(difference, distribution.T, images)[0, 0] < 0.05
    low, high = stats.binom.interval(0.999, 600, 0.05)
    assert (low if images > 50 else 0) < rejected < high


# Demsar (2006), table 5(a): critical values of the two-tailed Nemenyi test.
NEMENYI = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


@pytest.mark.parametrize("alpha", NEMENYI)
def test_nemenyi_equals_the_published_critical_values(alpha):
    for methods, published in enumerate(NEMENYI[alpha], start=2):
        unit = ranking._nemenyi_difference(methods, 14, alpha) / np.sqrt(
            methods * (methods + 1) / 84
        )
        assert unit == pytest.approx(published, abs=1.1e-3)


def test_critical_difference_of_demsars_own_example():
    # Demsar (2006), table 6 and section 3.2.4: mean ranks 3.143, 2.000, 2.893, 1.964 on 14 sets,
    # chi-square 9.28 (not corrected for ties; scipy corrects); critical difference 1.25 at alpha
    # 0.05, which separates no two of the four.
    auc = {
        "C4.5": [.763, .599, .954, .628, .882, .936, .661, .583, .775, 1.0, .940, .619, .972, .957],
        "C4.5+m": [.768, .591, .971, .661, .888, .931, .668, .583, .838, 1.0, .962, .666, .981, .978],
        "C4.5+cf": [.771, .590, .968, .654, .886, .916, .609, .563, .866, 1.0, .965, .614, .9751, .946],
        "C4.5+m+cf": [.798, .569, .967, .657, .898, .931, .685, .625, .875, 1.0, .962, .669, .975, .970],
    }  # fmt: skip
    friedman = ranking.critical_difference(auc, higher_is_better=True)
    ranks = dict(zip(friedman.methods, friedman.mean_ranks, strict=True))
    assert ranks == pytest.approx(
        {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}, abs=1e-3
    )
    squares = sum(rank**2 for rank in friedman.mean_ranks)
    assert 12 * 14 / 20 * (squares - 4 * 25 / 4) == pytest.approx(9.28, abs=0.01)
    assert friedman.statistic == pytest.approx(stats.friedmanchisquare(*auc.values()).statistic)
    assert friedman.difference == pytest.approx(1.25, abs=0.005)
    assert friedman.groups == ((0, 3),)


def test_critical_difference_needs_three_methods_and_two_datasets():
    assert ranking.critical_difference({"a": [1, 2], "b": [2, 3]}, True) is None
    assert ranking.critical_difference({"a": [1], "b": [2], "c": [3]}, True) is None


def test_groups_join_neighbours_closer_than_the_difference():
    assert ranking._find_groups(np.array([1.0, 1.5, 3.0, 3.2]), 1.0) == ((0, 1), (2, 3))
    assert ranking._find_groups(np.array([1.0, 1.8, 2.6]), 1.0) == ((0, 1), (1, 2))
    assert ranking._find_groups(np.array([1.0, 3.0]), 1.0) == ()


def test_monte_carlo_error_is_that_of_repeated_draws():
    rng = np.random.default_rng(2)
    for draw in (rng.standard_normal, lambda shape: rng.exponential(size=shape)):
        deviations = draw((4000, 200)).std(axis=1, ddof=1)
        predicted = st._monte_carlo_error(draw((1, 100_000)))[0] * np.sqrt(100_000 / 200)
        assert predicted == pytest.approx(deviations.std() / deviations.mean(), rel=0.12)
    assert st._monte_carlo_error(np.zeros((2, 50))).tolist() == [0, 0]


def test_a_p_value_within_the_monte_carlo_error_of_the_level_is_undecided():
    distribution = np.random.default_rng(0).normal(0.02, 0.01, (1, 1000))
    ranges = st.p_ranges(np.array([0.02]), distribution, 100)
    p_holm, undecided = st.correct_ranges(ranges)
    assert 0.04 < ranges[0, 0] == p_holm[0] < 0.05 and undecided[0]
    for clear in (0.005, 0.03):
        ranges = st.p_ranges(np.array([clear]), distribution, 100)
        assert not st.correct_ranges(ranges)[1].any()
