"""Make the fixtures of the metrics again, or check that they are what the oracles give today.

    python tests/reference/make_metrics.py check    # compare with the stored values
    python tests/reference/make_metrics.py make     # replace them

This needs PySODMetrics 1.6.2, OpenCV and Pillow in an environment of their own; sodbench is not imported.

- ``metrics_public.npz``: the groups ``pysod`` and ``pysod_nonorm`` are made from the stored pairs.  The pairs themselves,
  and what SalMetric, a C++ program, gives for them (``salmetric``, ``salmetric_dataset``), came from outside the
  repository and are kept as they are.
- ``metrics_decode.npz``: the grey values that OpenCV and Pillow read from the stored files.

``decoding.npz`` is made by decoding.py.  These fixtures came from outside the repository and cannot be made again here:
``metrics_keys.json`` (names of the cases, and numbers of whole sets), ``csf_state_dict.json``,
``features_seed0_224.json``, ``model_parity_meta.json``, ``model_parity_public.npz`` and ``train_step_seed0.json`` (the
reference implementation of the network and its training).
"""

import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from pysodmetrics_values import HANDLERS, context, everything, msiou, size_invariant

DATA = Path(__file__).resolve().parents[1] / "data"
# What the versions of OpenCV, LAPACK and numpy change: multi-scale IoU is summed in half precision.
TOLERANCES = {"msiou": 2e-4, "cm": 1e-8, "hce": np.inf}


def pysodmetrics_groups(stored):
    """The arrays ``pysod/...`` and ``pysod_nonorm/...`` of the stored pairs."""
    import py_sod_metrics as library

    np.trapz = np.trapezoid  # which PySODMetrics 1.6.2 still calls by its former name
    rows = {"pysod": [], "pysod_nonorm": []}
    for i in range(sum(name.startswith("pred_") for name in stored)):
        pred, gt = stored[f"pred_{i:03d}"], stored[f"gt_{i:03d}"]
        plain = per_pair(everything(library, [(pred, gt)]))
        rows["pysod"].append(plain | extras(library, pred, gt))
        rows["pysod_nonorm"].append(
            per_pair(everything(library, [(pred / 255.0, gt > 128)], normalize=False))
        )
    return {
        f"{group}/{name}": np.array([row[name] for row in values])
        for group, values in rows.items()
        for name in values[0]
    }


def per_pair(values):
    """The values of one pair, curves by ascending thresholds; sums over all pairs are left out."""
    return {
        name: np.asarray(value)[::-1] if np.ndim(value) else value
        for name, value in values.items()
        if not name.startswith("overall")
    }


def extras(library, pred, gt):
    """The metrics other than the classical ones; NaN where PySODMetrics raises."""
    multiscale = msiou(library, [(pred, gt)])
    values = {
        "msiou_adp": multiscale["adaptive"],
        "msiou_bin": multiscale["binary"],
        "msiou_curve": multiscale["dynamic"],
    }
    names = [f"si_{name}_{form}" for name in HANDLERS for form in ("adp", "bin", "max", "avg")]
    values |= dict.fromkeys(("si_mae", *names, "si_targets", "cm", "hce"), np.nan)
    try:
        objects = size_invariant(library, [(pred, gt)])
        values["si_mae"] = objects["si_mae"]
        for name in HANDLERS:
            curves = objects[f"{name}_curves"]
            values |= {
                f"si_{name}_adp": objects[f"{name}_adp"],
                f"si_{name}_bin": objects[f"{name}_bin"],
                f"si_{name}_max": curves.max(axis=1).mean(),
                f"si_{name}_avg": curves.mean(axis=1).mean(),
            }
            values["si_targets"] = len(curves)
    except (AssertionError, OverflowError, TypeError):
        pass  # no background, or more objects than bits
    with suppress(np.linalg.LinAlgError):  # the foreground's pixels are on one line
        values["cm"] = context(library, pred, gt)
    effort = library.HumanCorrectionEffortMeasure()
    effort.step(pred, gt)
    values["hce"] = effort.get_results()["hce"]
    return values


def decoded_values(stored):
    """The arrays ``cv2_gray_NN`` and ``pil_L_NN`` of the stored files."""
    import io

    import cv2
    from PIL import Image

    values = {}
    for name in stored:
        if name.startswith("file_"):
            number, data = name.removeprefix("file_"), stored[name]
            values[f"cv2_gray_{number}"] = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
            with Image.open(io.BytesIO(data.tobytes())) as image:
                values[f"pil_L_{number}"] = np.asarray(image.convert("L"))
    return {name: value for name, value in values.items() if name in stored}


def difference(name, stored, made):
    """How a made array differs from the stored one, in words; nothing if it does not."""
    if stored.shape != made.shape:
        return f"shape {made.shape} instead of {stored.shape}"
    key = name.rpartition("/")[2]
    tolerance = next((t for start, t in TOLERANCES.items() if key.startswith(start)), 1e-12)
    stored, made = stored.astype(float), made.astype(float)
    if np.isinf(tolerance) or np.allclose(
        stored, made, rtol=tolerance, atol=tolerance, equal_nan=True
    ):
        return ""
    return f"differs by up to {np.nanmax(np.abs(stored - made))}"


def main(command):
    """Check or make every fixture; return the exit status."""
    wrong = 0
    for file, make in (
        ("metrics_public.npz", pysodmetrics_groups),
        ("metrics_decode.npz", decoded_values),
    ):
        with np.load(DATA / file) as archive:
            stored = dict(archive)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = make(stored)
        missing = [n for n in made if n not in stored]
        print(f"{file}: {len(made)} of {len(stored)} arrays made", *missing)
        for name, values in made.items():
            text = "is new" if name not in stored else difference(name, stored[name], values)
            if text:
                wrong += 1
                print(f"  {name}: {text}")
        if command == "make":
            np.savez_compressed(DATA / file, **stored | made)
    return int(bool(wrong) and command == "check")


if __name__ == "__main__":
    if sys.argv[1:] not in (["check"], ["make"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
