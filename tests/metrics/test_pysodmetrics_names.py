"""The drop-in has the names of PySODMetrics 1.6.2, in its submodules, and what scripts call on them."""

import importlib
import inspect
import itertools
import json
import sys
import warnings

import numpy as np
import pytest
from scipy import ndimage

from sodbench.metrics import compat, pysodmetrics

HANDLERS = (
    *("BERHandler", "DICEHandler", "FPRHandler", "FmeasureHandler", "IOUHandler", "KappaHandler"),
    *("OverallAccuracyHandler", "PrecisionHandler", "RecallHandler", "SensitivityHandler"),
    *("SpecificityHandler", "TNRHandler", "TPRHandler"),
)
OBJECT_FUNCTIONS = ("encode_bboxwise_tgts_bitwise", "get_kth_bit", "parse_connected_components")
NAMES = {
    "sod_metrics": ("MAE", "Emeasure", "Fmeasure", "HumanCorrectionEffortMeasure", "Smeasure", "WeightedFmeasure"),
    "fmeasurev2": ("FmeasureV2", "_BaseHandler", *HANDLERS),
    "size_invariance": ("SizeInvarianceFmeasureV2", "SizeInvarianceMAE", *OBJECT_FUNCTIONS),
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
    classes = {name for names in NAMES.values() for name in names if name[0].isupper()}
    classes -= set(NAMES["utils"])
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


def make(module, name):
    """An object of a class of the library or the drop-in."""
    with_modes = name.endswith("Handler") or name == "MSIoU"
    with warnings.catch_warnings():
        # that Fmeasure will be removed
        warnings.simplefilter("ignore")
        return getattr(module, name)(*(True, True) * with_modes)


def test_everything_public_of_the_library_is_there(library):
    """Its modules' classes, functions and constants, the classes' methods and attributes, and their parameters."""
    classes = {name for name, value in vars(library).items() if inspect.isclass(value)}
    assert classes == set(pysodmetrics.__all__)
    for submodule, known in NAMES.items():
        theirs = importlib.import_module(f"py_sod_metrics.{submodule}")
        ours = importlib.import_module(f"sodbench.metrics.pysodmetrics.{submodule}")
        own = [
            name
            for name, value in vars(theirs).items()
            if name == "_BaseHandler"
            or (not name.startswith("_") and getattr(value, "__module__", "") == theirs.__name__)
        ]
        assert set(own) <= set(known)
        for name in own:
            assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name
    for name in classes:
        theirs, ours = make(library, name), make(pysodmetrics, name)
        assert issubclass(
            type(ours), getattr(pysodmetrics, type(theirs).__bases__[0].__name__, object)
        )
        for member in (x for x in dir(theirs) if not x.startswith("_")):
            assert hasattr(ours, member), f"{name}.{member}"
            if (
                callable(getattr(theirs, member))
                and "Handler" not in type(getattr(theirs, member)).__name__
            ):
                assert parameters(getattr(ours, member)) == parameters(getattr(theirs, member)), (
                    f"{name}.{member}"
                )


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_parts_of_the_metrics_are_the_librarys(library, prepared):
    pred, gt = prepared
    rng = np.random.default_rng(5)
    ours, theirs = pysodmetrics.Smeasure(), library.Smeasure()
    for values in (pred[gt], pred[:1, :1].ravel(), np.zeros(4), np.ones(3)):
        assert ours.s_object(values) == pytest.approx(theirs.s_object(values), abs=1e-12)
    blocks = [(pred, gt), (pred[:1, :1], gt[:1, :1]), (np.zeros((3, 3)), np.zeros((3, 3), bool))]
    blocks += [(np.full((3, 3), 0.5), np.ones((3, 3), bool)), (pred[:5], gt[:5])]
    for block in blocks:
        assert ours.ssim(*block) == pytest.approx(theirs.ssim(*block), abs=1e-12)
    ours, theirs = pysodmetrics.Emeasure(), library.Emeasure()
    for metric in (ours, theirs):
        metric.step(pred, gt, normalize=False)
    assert (ours.gt_fg_numel, ours.gt_size) == (theirs.gt_fg_numel, theirs.gt_size)
    for numbers in ((200, 30, 230, 970), (np.array([3, 7]), np.array([2, 0]), 5, 1195)):
        (parts, values), (expected, others) = (
            metric.generate_parts_numel_combinations(*numbers) for metric in (ours, theirs)
        )
        pairs = zip(
            parts + [x for v in values for x in v],
            expected + [x for v in others for x in v],
            strict=True,
        )
        for one, another in pairs:
            np.testing.assert_allclose(one, another, atol=1e-15)
    for options in ({}, {"shape": (5, 4), "sigma": 1}):
        kernels = [
            m.WeightedFmeasure().matlab_style_gauss2D(**options) for m in (pysodmetrics, library)
        ]
        np.testing.assert_allclose(*kernels, atol=1e-15)
    for threshold in (50, 10**6):
        mask = ndimage.gaussian_filter(rng.random((60, 60)), 3) > 0.52
        number, labels = pysodmetrics.size_invariance.parse_connected_components(mask, threshold)
        expected = library.size_invariance.parse_connected_components(mask, threshold)
        assert number == expected[0] > 0 and np.array_equal(labels, expected[1])
        bits = pysodmetrics.size_invariance.encode_bboxwise_tgts_bitwise(number, labels)
        assert np.array_equal(bits, library.size_invariance.encode_bboxwise_tgts_bitwise(*expected))
        for k in (1, number):
            bit = pysodmetrics.size_invariance.get_kth_bit(bits, k)
            assert np.array_equal(bit, library.size_invariance.get_kth_bit(bits, k))


def test_the_boundaries_of_the_effort_are_the_librarys(library):
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(5)
    ours, theirs = (
        pysodmetrics.HumanCorrectionEffortMeasure(),
        library.HumanCorrectionEffortMeasure(),
    )
    assert np.array_equal(ours.morphology_kernel, theirs.morphology_kernel)
    for _ in range(20):
        regions, condition = ndimage.gaussian_filter(rng.random((2, 50, 40)), (0, 2, 2)) > 0.5
        contours, _ = cv2.findContours(
            regions.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE
        )
        pieces, untouched = ours.filter_conditional_boundary(contours, regions, condition)
        expected, number = theirs.filter_conditional_boundary(contours, regions, condition)
        assert untouched == number
        assert all(np.array_equal(one, other) for one, other in zip(pieces, expected, strict=True))


def test_a_handler_of_ones_own_needs_only_its_formula():
    class Missed(pysodmetrics.fmeasurev2._BaseHandler):
        def __call__(self, tp, fp, tn, fn):
            return self.divide(fn, tp + fn)

    metric = pysodmetrics.FmeasureV2({"missed": Missed(with_dynamic=True, with_adaptive=False)})
    metric.step(np.array([[0, 200, 255]], np.uint8), np.array([[255, 255, 0]], np.uint8))
    assert metric.get_results()["missed"]["dynamic"][[0, -1]].tolist() == [1, 0]


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
    share = gt.mean()
    parts = share * s.s_object(pred[gt]) + (1 - share) * s.s_object(1 - pred[~gt])
    assert parts == pytest.approx(s.object(pred, gt))
    row, column = np.argwhere(gt).mean(axis=0).round().astype(int) + 1
    blocks = itertools.product((slice(row), slice(row, None)), (slice(column), slice(column, None)))
    similar = sum(gt[b].size / gt.size * s.ssim(pred[b], gt[b]) for b in blocks)
    assert similar == pytest.approx(s.region(pred, gt))
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
    square = np.array([[2, 2], [2, 9], [9, 9], [9, 2]])[:, None]
    assert hce.count_polygon_control_points([square, square[:2]], epsilon=1) == 6
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
