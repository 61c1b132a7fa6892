"""Every number of PySODMetrics for some pairs, by the names of tests/data/metrics_public.npz.

``library`` is PySODMetrics itself, or sodbench's replacement of it.  make_metrics.py stores what the first gives;
tests/metrics/test_pysodmetrics.py compares the second with that.  Nothing is imported from sodbench.
"""

import warnings

import numpy as np

HANDLERS = {
    "fm": ("FmeasureHandler", {"beta": 0.3}),
    "f1": ("FmeasureHandler", {"beta": 1}),
    "pre": ("PrecisionHandler", {}),
    "rec": ("RecallHandler", {}),
    "fpr": ("FPRHandler", {}),
    "iou": ("IOUHandler", {}),
    "dice": ("DICEHandler", {}),
    "spec": ("SpecificityHandler", {}),
    "ber": ("BERHandler", {}),
    "oa": ("OverallAccuracyHandler", {}),
    "kappa": ("KappaHandler", {}),
}


def everything(library, steps, normalize=True):
    """Every number the library gives for some pairs, flat, by the fixtures' names."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # PySODMetrics warns that Fmeasure will go, numpy of empty blocks
        single = {
            name: getattr(library, name)()
            for name in ("MAE", "Smeasure", "Emeasure", "WeightedFmeasure", "Fmeasure")
        }
        per_sample, overall = library.FmeasureV2(), library.FmeasureV2()
        for name, (handler, options) in HANDLERS.items():
            made = getattr(library, handler)
            per_sample.add_handler(name, made(True, True, with_binary=True, **options))
            overall.add_handler(
                name, made(False, False, with_binary=True, sample_based=False, **options)
            )
        for pred, gt in steps:
            for metric in (*single.values(), per_sample, overall):
                metric.step(pred, gt, normalize=normalize)
        results = {name: metric.get_results() for name, metric in single.items()}
        fm, pr = results["Fmeasure"]["fm"], results["Fmeasure"]["pr"]
        em = results["Emeasure"]["em"]
        flat = {
            **results["MAE"],
            **results["Smeasure"],
            **results["WeightedFmeasure"],
            "em_adp": em["adp"],
            "em_curve": em["curve"],
            "fmv1_adp": fm["adp"],
            "fmv1_curve": fm["curve"],
            "fmv1_p": pr["p"],
            "fmv1_r": pr["r"],
        }
        modes = {"dynamic": "curve", "adaptive": "adp", "binary": "bin"}
        for name, result in per_sample.get_results().items():
            flat |= {f"{name}_{modes[mode]}": value for mode, value in result.items()}
        for name, result in overall.get_results().items():
            flat[f"overall_bi{name}"] = result["binary"]
    return flat


def size_invariant(library, steps, normalize=True):
    """Every size-invariant number, the curves object by object."""
    mae = library.SizeInvarianceMAE()
    per_sample, overall = library.SizeInvarianceFmeasureV2(), library.SizeInvarianceFmeasureV2()
    for name, (handler, options) in HANDLERS.items():
        made = getattr(library, handler)
        per_sample.add_handler(name, made(True, True, with_binary=True, **options))
        overall.add_handler(name, made(True, True, with_binary=True, sample_based=False, **options))
    for pred, gt in steps:
        for metric in (mae, per_sample, overall):
            metric.step(pred, gt, normalize=normalize)
    flat = mae.get_results()
    for name, result in per_sample.get_results().items():
        assert len(result["dynamic"]) == len(steps)
        flat[f"{name}_curves"] = np.concatenate([np.atleast_2d(c) for c in result["dynamic"]])
        flat |= {f"{name}_adp": result["adaptive"], f"{name}_bin": result["binary"]}
    for name, result in overall.get_results().items():
        flat |= {f"overall_{name}_{mode}": value for mode, value in result.items()}
    return flat


def msiou(library, steps, with_dynamic=True):
    metric = library.MSIoU(with_dynamic, True, with_binary=True)
    for pred, gt in steps:
        metric.step(pred, gt)
    return metric.get_results()


def context(library, pred, gt, **options):
    metric = library.ContextMeasure(**options)
    metric.step(pred, gt)
    return metric.get_results()["cm"]
