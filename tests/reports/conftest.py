"""Results with odd names, and a whole report over them."""

from pathlib import Path

import pytest
from synthetic import ODD, report_page, synthetic

from sodbench.errors import Problem
from sodbench.reports import plot_style
from sodbench.results import Result


@pytest.fixture(scope="session")
def odd_results(tmp_path_factory) -> list[Result]:
    """Four methods with odd names on two sets, images on disk."""
    root = tmp_path_factory.mktemp("odd")
    noises = dict(zip(ODD, (0.1, 0.25, 0.5, 0.9), strict=True))
    return [
        synthetic(
            method,
            dataset,
            noise=noise,
            seed=3,
            folder=root / dataset,
            problems=(Problem("extra", "a_b<c>.png", "no mask & no hope 100%"),),
        )
        for dataset in ("SOD", "own_set <1>")
        for method, noise in noises.items()
    ]


@pytest.fixture(scope="session")
def odd_report(odd_results, tmp_path_factory) -> Path:
    """A whole report folder over them."""

    out = tmp_path_factory.mktemp("report") / "out"
    with pytest.MonkeyPatch.context() as patch:  # restored where write_report fails, too
        patch.setattr(plot_style, "FORMATS", ("png", "svg"))  # PDF fonts take the time
        report_page(
            odd_results,
            out,
            title="Odd names: <b>, &, _, %",
            baseline=ODD[0],
            published=["u2net"],
            resamples=200,
            command="sodbench report <x> & y",
        )
    for figure in (out / "figures").glob("*.png"):
        figure.with_suffix(".pdf").touch()
    return out
