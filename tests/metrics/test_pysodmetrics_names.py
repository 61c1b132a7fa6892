"""The drop-in has the names of PySODMetrics 1.6.2, in its submodules, and what scripts call on them."""

import importlib
import inspect
import itertools
import json
import sys

import numpy as np
import pytest

from sodbench.metrics import compat, pysodmetrics

HANDLERS = (
    *("BERHandler", "DICEHandler", "FPRHandler", "FmeasureHandler", "IOUHandler", "KappaHandler"),
    *("OverallAccuracyHandler", "PrecisionHandler", "RecallHandler", "SensitivityHandler"),
    *("SpecificityHandler", "TNRHandler", "TPRHandler"),
)
NAMES = {
    "sod_metrics": ("MAE", "Emeasure", "Fmeasure", "HumanCorrectionEffortMeasure", "Smeasure", "WeightedFmeasure"),
    "fmeasurev2": ("FmeasureV2", *HANDLERS),
    "size_invariance": ("SizeInvarianceFmeasureV2", "SizeInvarianceMAE"),
    "multiscale_iou": ("MSIoU",),
    "context_measure": ("CamouflageContextMeasure", "ContextMeasure"),
    "utils": ("EPS", "TYPE", "get_adaptive_threshold", "prepare_data", "validate_and_normalize_input"),
}  # fmt: skip


@pytest.mark.parametrize("submodule", NAMES)
@pytest.mark.parametrize("package", ["sodbench.metrics.pysodmetrics", "sodbench.metrics.compat"])
def test_the_submodules_have_their_names(package, submodule):
    module = importlib.import_module(f"{package}.{submodule}")
    for name in NAMES[submodule]:
        assert hasattr(module, name), name


def test_the_package_exports_every_class():
    classes = {name for names in NAMES.values() for name in names} - set(NAMES["utils"])
    assert set(pysodmetrics.__all__) == classes
    assert all(getattr(compat, name) is getattr(pysodmetrics, name) for name in classes)


def test_a_script_needs_no_change_when_the_drop_in_takes_the_library_s_name(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "py_sod_metrics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "py_sod_metrics", pysodmetrics)
    try:
        assert importlib.import_module("py_sod_metrics.sod_metrics").MAE().maes == []
        assert importlib.import_module("py_sod_metrics.utils").TYPE is np.float64
    finally:
        for name in [name for name in sys.modules if name.startswith("py_sod_metrics.")]:
            del sys.modules[name]


def test_the_library_has_no_other_names():
    library = pytest.importorskip("py_sod_metrics")
    public = {name for name, value in vars(library).items() if inspect.isclass(value)}
    assert public == set(pysodmetrics.__all__)
    for name in public:
        theirs = list(inspect.signature(getattr(library, name)).parameters)
        ours = list(inspect.signature(getattr(pysodmetrics, name)).parameters)
        if name != "FmeasureHandler":  # passes its modes on by keyword
            assert ours == theirs, name


@pytest.fixture(scope="module")
def prepared():
    rng = np.random.default_rng(3)
    gt = np.zeros((30, 40), bool)
    gt[8:20, 10:33] = True
    return np.clip(0.7 * gt + rng.random(gt.shape) / 2, 0, 1), gt


def test_the_methods_that_scripts_call_agree_with_step(prepared):
    pred, gt = prepared
    of_step = {}
    for name in NAMES["sod_metrics"]:
        metric = getattr(pysodmetrics, name)()
        metric.step(pred, gt, normalize=False)
        of_step |= {name: metric}
    assert of_step["MAE"].cal_mae(pred, gt) == pytest.approx(of_step["MAE"].maes[0])
    assert of_step["Smeasure"].cal_sm(pred, gt) == of_step["Smeasure"].sms[0]
    s = of_step["Smeasure"]
    assert (s.object(pred, gt) + s.region(pred, gt)) / 2 == pytest.approx(s.sms[0])
    e = of_step["Emeasure"]
    assert e.cal_adaptive_em(pred, gt) == e.adaptive_ems[0]
    assert e.cal_em_with_threshold(pred, gt, min(2 * pred.mean(), 1)) == e.adaptive_ems[0]
    assert np.array_equal(e.cal_changeable_em(pred, gt), e.changeable_ems[0])
    assert (
        of_step["WeightedFmeasure"].cal_wfm(pred, gt) == of_step["WeightedFmeasure"].weighted_fms[0]
    )
    f = of_step["Fmeasure"]
    assert f.cal_adaptive_fm(pred, gt) == f.adaptive_fms[0]
    assert np.array_equal(f.cal_pr(pred, gt)[2], f.changeable_fms[0])
    hce = of_step["HumanCorrectionEffortMeasure"]
    assert hce.cal_hce(pred, gt) == hce.hces[0]
    # as in the library, what is collected are numpy's numbers
    assert isinstance(hce.hces[0], np.float64) and isinstance(of_step["MAE"].maes[0], np.float64)


def test_the_binarisations_of_fmeasurev2(prepared):
    pred, gt = prepared
    handler = pysodmetrics.IOUHandler(with_dynamic=True, with_adaptive=True)
    metric = pysodmetrics.FmeasureV2({"iou": handler})
    metric.step(pred, gt, normalize=False)
    foreground = int(gt.sum())
    sizes = {"FG": foreground, "BG": gt.size - foreground}
    assert handler(**metric.adaptively_binarizing(pred, gt, **sizes)) == handler.adaptive_results[0]
    curve = handler(**metric.dynamically_binarizing(pred, gt, **sizes))
    assert np.array_equal(curve, handler.dynamic_results[0])
    assert np.array_equal(handler.divide([1, 2], [2, 0]), [0.5, 0])


def test_the_steps_of_msiou_give_its_results(prepared):
    pred, gt = prepared
    metric = pysodmetrics.MSIoU(False, True, with_binary=True, num_levels=7)
    metric.step(pred, gt, normalize=False)
    edge = metric.get_edge(gt)
    grids = [metric.shrink_by_grid(edge, size) for size in metric.cell_sizes.tolist()]
    assert grids[2].shape == (4, 5) and set(np.unique(grids[2])) == {0.0, 1.0}
    for cache in (None, grids):
        assert metric.binarizing(pred > 0.5, edge, cache) == metric.binary_results[0]
        ratios = metric.multi_scale_iou(metric.get_edge(pred > 0.5), edge, cache)
        area = sum(a + b for a, b in itertools.pairwise(ratios)) / 12
        assert area == pytest.approx(metric.binary_results[0], abs=1e-15)
    with pytest.raises(ValueError, match="cell_size is 0"):
        metric.shrink_by_grid(edge, 0)


def test_what_the_library_s_recorders_do_with_results(prepared):
    """Its example recorders round each number, and turn it into a plain one with tolist()."""
    pred, gt = prepared
    modes = {"with_adaptive": True, "with_dynamic": True, "with_binary": True}
    metrics = [getattr(pysodmetrics, name)() for name in NAMES["sod_metrics"]]
    metrics += [pysodmetrics.SizeInvarianceMAE(), pysodmetrics.FmeasureV2()]
    metrics[-1].add_handler("iou", pysodmetrics.IOUHandler(**modes))
    metrics[-1].add_handler("fm", pysodmetrics.FmeasureHandler(**modes, beta=0.3))

    def numbers(results):
        for value in results.values():
            yield from numbers(value) if isinstance(value, dict) else [value]

    for metric in metrics:
        metric.step((pred * 255).astype(np.uint8), gt.astype(np.uint8) * np.uint8(255))
        for value in numbers(metric.get_results()):
            assert isinstance(value.round(3).tolist(), float | list)


def test_the_fixtures_of_the_camouflage_context_measure_and_of_msiou(data):
    values = json.loads((data / "metrics2_public.json").read_text())["values"]
    with np.load(data / "metrics2_public.npz") as file:
        for i, (ccm, msiou) in enumerate(
            zip(values["pysod/ccm"], values["pysod/msiou5"], strict=True)
        ):
            pred, gt, image = (file[f"{name}_{i:03d}"] for name in ("pred", "gt", "img"))
            metric = pysodmetrics.CamouflageContextMeasure()
            if ccm is None:
                with pytest.raises(ValueError, match="smaller than a patch"):
                    metric.step(pred, gt, img=image)
                continue
            metric.step(pred, gt, img=image)
            assert metric.get_results()["ccm"] == pytest.approx(ccm, abs=1e-9)
            levels = pysodmetrics.MSIoU(True, True, with_binary=True, num_levels=5)
            levels.step(pred, gt)
            for mode, value in levels.get_results().items():
                # summed in half precision there
                assert value == pytest.approx(msiou[mode], abs=1e-4)


def test_an_image_of_another_size_is_refused(prepared):
    pred, gt = prepared
    with pytest.raises(
        ValueError, match=r"the image is uint8 \(30, 41, 3\); pass uint8 \(30, 40, 3\)"
    ):
        pysodmetrics.CamouflageContextMeasure().step(
            pred, gt, img=np.zeros((30, 41, 3), np.uint8), normalize=False
        )
