"""The catalogue of metrics is what is computed, and reading it computes nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sodbench.cli.eval import DEFAULT_METRICS
from sodbench.metrics import (
    DEFAULT_PROTOCOL,
    PROTOCOLS,
    CountingScheme,
    PreparedMask,
    catalogue,
    count_pair,
    score,
)
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.entries import CITATIONS


@pytest.fixture(scope="module")
def scores():
    mask = np.eye(9, dtype=np.uint8) * np.uint8(255)
    scheme = CountingScheme.for_protocols(PROTOCOLS.values())
    counts = count_pair(mask, PreparedMask(mask, scheme)).counts
    return {name: score(counts, name, ["a"]) for name in PROTOCOLS}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_catalogue_names_what_is_computed(scores, name):
    assert sorted(catalogue.aggregate_names()) == sorted(scores[name].metrics)
    assert sorted(catalogue.per_image_names()) == sorted(scores[name].per_image.columns)
    assert (
        sorted(catalogue.curve_names())
        == sorted(scores[name].curves)
        == sorted(scores[name].comparisons)
    )


def test_protocols_and_defaults_exist():
    assert DEFAULT_PROTOCOL in PROTOCOLS
    assert set(DEFAULT_METRICS) <= set(catalogue.listed_names())
    assert {metric.citation for metric in catalogue.METRICS.values()} - {""} <= set(CITATIONS)


def test_reports_use_the_directions_and_labels_of_the_catalogue():
    for name, metric in catalogue.METRICS.items():
        assert find_metric(name).label == metric.label
        assert (find_metric(name).sign < 0) == (metric.direction == "lower") == (metric.sign < 0)
    assert find_metric("threshold").sign == 0


def test_metrics_that_do_not_depend_on_the_map_are_not_listed():
    unlisted = set(catalogue.aggregate_names()) - set(catalogue.listed_names())
    assert unlisted == {"auc_pr", "fpr_max", "ber_max", "specificity_max"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("MAE", "mae"),
        ("fmax", "f_max"),
        ("maxF", "f_max"),
        ("weighted F", "wf"),
        ("mIoU", "iou_mean"),
        ("AUC", "auc_roc"),
        ("f_mean_meanff", "f_mean_meanf"),
        ("zzz", None),
    ],
)
def test_a_wrong_name_gets_a_suggestion(given, meant):
    if given in ("mIoU", "AUC"):  # several are close: any of that family will do
        assert (
            catalogue.suggest(given, catalogue.listed_names()).split("_")[0] == meant.split("_")[0]
        )
    else:
        assert catalogue.suggest(given, catalogue.aggregate_names()) == meant


def test_reading_names_imports_nothing_heavy():
    code = (
        "import sys, sodbench.metrics.catalogue, sodbench.cli.eval, sodbench.metrics\n"
        "assert 'Evaluator' in dir(sodbench.metrics)\n"
        "print(*[m for m in ('numba', 'numpy', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_name_that_does_not_exist_is_an_attribute_error():
    import sodbench.metrics

    with pytest.raises(AttributeError, match="no attribute 'evaluator_'"):
        sodbench.metrics.evaluator_  # noqa: B018


def test_metrics_help_prints_the_catalogue_and_marks_unlisted_metrics(capsys):
    from sodbench.cli import main

    assert main(["eval", "--metrics", "help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    end = lines.index("")
    listed = {line.split()[0]: line for line in lines[1:end]}
    presets = lines[end + 2 : lines.index("", end + 1)]
    assert [line.split(":")[0] for line in presets] == list(catalogue.PAPER_COLUMNS)
    forms = [line.split(":")[0] for line in lines[-4:]]
    assert forms == ["NAME@T", "NAME(b2=X)", "overall_NAME@T", "msiou_adp(levels=N)"]
    assert set(listed) == set(catalogue.METRICS)
    unlisted = set(catalogue.METRICS) - set(catalogue.listed_names())
    assert {n for n, line in listed.items() if "only when named" in line} == unlisted


def test_the_table_of_the_documentation_is_the_catalogue():
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocols.md").read_text("utf-8")
    _, _, table = text.partition("| name | label | better | of | what it is | needs |\n")
    rows = [line for line in table.partition("\n\n")[0].splitlines()[1:]]
    expected = []
    for metric in catalogue.METRICS.values():
        better = "-" if metric.direction == "neither" else metric.direction
        of = "image, set" if metric.per_image else "set"
        needs = "pixels" if metric.needs_pixels else "counts"
        cells = (f"`{metric.name}`", metric.label, better, of, metric.description, needs)
        expected.append(f"| {' | '.join(cells)} |")
    assert rows == expected
