"""The paired comparison of two results."""

import json

import pytest
from synthetic import synthetic

from sodbench.errors import SodbenchError
from sodbench.reports.compare import compare, render


def test_numbers_are_those_of_the_results_and_the_better_one_wins():
    one, two = synthetic("A_1", "SOD", noise=0.1), synthetic("B", "SOD", noise=0.7)
    found = compare([one], [two], resamples=400)
    assert found.first == "A_1" and len(found.differences) == 5
    for d in found.differences:
        assert d.a == pytest.approx(one.metrics[d.measure])
        assert d.b == pytest.approx(two.metrics[d.measure])
        assert d.low <= d.a - d.b <= d.high
        assert d.p < 0.01 and d.p <= d.p_holm
        assert d.wins == d.images == 12
    assert found == compare([one], [two], resamples=400)


def test_a_method_does_not_beat_itself():
    one = synthetic("A", "SOD")
    found = compare([one], [one], resamples=200)
    assert {d.p for d in found.differences} == {1.0}
    assert {(d.wins, d.ties, d.losses) for d in found.differences} == {(0, 12, 0)}
    assert found.first == "A (first)"


def test_prints_in_every_format():
    found = compare([synthetic("A_1", "SOD")], [synthetic("B", "SOD", noise=0.5)], resamples=100)
    assert "SOD MAE ↓" in render(found, "table")
    assert "| A\\_1" in render(found, "markdown")
    assert render(found, "csv").startswith("first,second,dataset,measure,images,a,b,low,high,p,")
    assert json.loads(render(found, "json"))["differences"][0]["measure"] == "mae"


def test_different_images_and_signatures_are_said():
    found = compare([synthetic("A", "SOD")], [synthetic("B", "SOD", missing=2)], resamples=100)
    assert {d.images for d in found.differences} == {10}
    assert "A has 12 images, B has 10; compared on the 10 that both have" in found.remarks[0]
    assert "signatures differ" in found.remarks[1]


def test_what_cannot_be_compared_is_refused():
    a, b = synthetic("A", "SOD"), synthetic("B", "ECSSD")
    with pytest.raises(SodbenchError, match="no common result on any data set; A has SOD; B has"):
        compare([a], [b])
    with pytest.raises(SodbenchError, match="one side of a comparison is one method"):
        compare([a, b], [a])
    with pytest.raises(SodbenchError, match="scored under salmetric, B under matlab"):
        compare([a], [synthetic("B", "SOD", protocol="matlab")])
