"""The example test of PySODMetrics 1.6.2, its 18 cases written again: its three pairs, and the results that it keeps.

The cases run through the drop-in, and through the library itself where it is installed.
"""

import json

import numpy as np
import pytest
from reference.pysodmetrics_values import HANDLERS, everything, msiou, size_invariant

from sodbench.images import read_grey
from sodbench.metrics import pysodmetrics

pytestmark = pytest.mark.real

CASES = {
    "sm": ["Smeasure"],
    "wfm": ["wFmeasure"],
    "hce": ["HCE"],
    "mae": ["MAE", "si_mae"],
    "msiou": ["adpmsiou", "meanmsiou", "maxmsiou", "sample_bimsiou"],
    "em": ["adpEm", "meanEm", "maxEm"],
    "cm_series": ["cm", "ccm"],
}
for handler in HANDLERS:
    general = [f"{form}{handler}" for form in ("adp", "mean", "max", "sample_bi", "overall_bi")]
    per_object = [f"si_sample_{form}{handler}" for form in ("adp", "mean", "max", "bi")]
    overall = [f"si_overall_{form}{handler}" for form in ("mean", "max", "bi")]
    CASES[handler] = general + per_object + overall
CASES["fm"] += ["adpFm", "meanFm", "maxFm"]
# Summed in half precision by the library, whose results differ between its own environments
TOLERANCES = {name: 2e-4 for name in CASES["msiou"]}


@pytest.fixture(scope="module")
def steps(shared):
    folder = shared / "real" / "edge" / "pysodmetrics_test_data"
    return [
        (read_grey(folder / "preds" / path.name).pixels, read_grey(path).pixels)
        for path in sorted((folder / "masks").iterdir())
    ]


@pytest.fixture(scope="module")
def stored(shared):
    versions = json.loads((shared / "gold" / "pysodmetrics_version_performance.json").read_text())
    return {
        name: value
        for version in ("v1_4_3", "v1_5_0", "v1_5_1", "v1_6_0")
        for name, value in versions[version].items()
    }


@pytest.fixture(scope="module", params=["the drop-in", "the library"])
def results(request, steps):
    """Every number of the example, by its names."""
    module = pysodmetrics
    if request.param == "the library":
        module = request.getfixturevalue("library")
    return {
        **summarise(everything(module, steps), msiou(module, steps)),
        **summarise_objects(module, steps),
        **step_others(module, steps),
    }


def summarise(values, scales):
    em, fm = values["em_curve"], values["fmv1_curve"]
    flat = {
        "MAE": values["mae"],
        "Smeasure": values["sm"],
        "wFmeasure": values["wfm"],
        "adpEm": values["em_adp"],
        "meanEm": em.mean(),
        "maxEm": em.max(),
        "adpFm": values["fmv1_adp"],
        "meanFm": fm.mean(),
        "maxFm": fm.max(),
        "adpmsiou": scales["adaptive"],
        "sample_bimsiou": scales["binary"],
        "meanmsiou": scales["dynamic"].mean(),
        "maxmsiou": scales["dynamic"].max(),
    }
    for name in HANDLERS:
        curve = values[f"{name}_curve"]
        flat |= {
            f"adp{name}": values[f"{name}_adp"],
            f"mean{name}": curve.mean(),
            f"max{name}": curve.max(),
            f"sample_bi{name}": values[f"{name}_bin"],
            f"overall_bi{name}": values[f"overall_bi{name}"],
        }
    return flat


def summarise_objects(module, steps):
    values = size_invariant(module, steps)
    per_object = module.SizeInvarianceFmeasureV2(
        {name: getattr(module, h)(True, False, **o) for name, (h, o) in HANDLERS.items()}
    )
    for pred, gt in steps:
        per_object.step(pred, gt)
    flat = {"si_mae": values["si_mae"]}
    for name, result in per_object.get_results().items():
        overall = values[f"overall_{name}_dynamic"]
        flat |= {
            f"si_sample_max{name}": np.mean([c.max(axis=1).mean() for c in result["dynamic"]]),
            f"si_sample_mean{name}": np.mean([c.mean() for c in result["dynamic"]]),
            f"si_sample_adp{name}": values[f"{name}_adp"],
            f"si_sample_bi{name}": values[f"{name}_bin"],
            f"si_overall_max{name}": overall.max(),
            f"si_overall_mean{name}": overall.mean(),
            f"si_overall_bi{name}": values[f"overall_{name}_binary"],
        }
    return flat


def step_others(module, steps):
    effort, context = module.HumanCorrectionEffortMeasure(), module.ContextMeasure()
    for pred, gt in steps:
        effort.step(pred, gt)
        context.step(pred, gt)
    return effort.get_results() | {"HCE": effort.get_results()["hce"]} | context.get_results()


def step_with_images(module, steps):
    """The camouflage context measure, with the image that the example takes from scikit-image."""
    cv2, data = pytest.importorskip("cv2"), pytest.importorskip("skimage.data")
    metric = module.CamouflageContextMeasure()
    for pred, gt in steps:
        metric.step(pred, gt, img=cv2.resize(data.astronaut(), gt.shape[::-1]))
    return metric.get_results()["ccm"]


@pytest.mark.parametrize("case", CASES)
def test_the_case_of_the_example(case, results, stored):
    for name in CASES[case]:
        if name != "ccm":
            assert results[name] == pytest.approx(stored[name], abs=TOLERANCES.get(name, 1e-9))


@pytest.mark.parametrize("module", ["the drop-in", "the library"])
def test_the_camouflage_context_measure_of_the_example(module, request, library, steps, stored):
    module = library if module == "the library" else pysodmetrics
    assert step_with_images(module, steps) == pytest.approx(stored["ccm"], abs=1e-9)


def test_the_cases_are_all_that_the_example_keeps(stored):
    kept = {name for name in stored if "auc" not in name}
    assert len(CASES) == 18
    assert {name for names in CASES.values() for name in names} == kept
