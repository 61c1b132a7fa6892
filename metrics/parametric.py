"""The catalogue's entries for names with parameters, such as ``iou@0.5`` and ``f_max(b2=1)``, and what can have them."""

from collections.abc import Mapping
from dataclasses import replace

from sodbench.metrics.entries import Metric, ThresholdFamily
from sodbench.metrics.parameters import OVERALL, Parameters

# F-measures, whose names may hold another weight of precision
WITH_BETA2 = (
    "wf",
    "f_adp",
    "f_max",
    "f_mean",
    "f_max_meanpr",
    "f_max_meanf",
    "f_mean_meanpr",
    "f_mean_meanf",
)

# Metrics of a binarised map besides the threshold families: name and label
_BINARY = {"precision": "precision", "recall": "recall", "f": "F"}


def derive_metric(
    parameters: Parameters,
    metrics: Mapping[str, Metric],
    families: Mapping[str, ThresholdFamily],
) -> Metric | None:
    """Make the entry of a metric with parameters.

    Parameters
    ----------
    parameters : Parameters
        Without a fault.
    metrics, families : mapping of str
        The entries without parameters, by their names.

    Returns
    -------
    Metric or None
        None if no metric has these parameters.
    """
    if parameters.threshold is not None:
        return None if parameters.levels else _at_threshold(parameters, families)
    base, weighted = parameters.base, _describe_weight(parameters)
    usual = metrics.get(base)
    if usual is None or base not in (WITH_BETA2 if weighted else ("msiou_adp",)):
        return None
    if parameters.levels is not None:
        weighted = f", {parameters.levels} levels"
    return replace(
        usual,
        name=str(parameters),
        label=f"{usual.label}{weighted}",
        description=f"{usual.description.removesuffix(', beta^2 = 1')}{weighted}",
        curves=(*usual.curves, parameters.curve) if usual.curves else (),
        on_request=True,
        parameters=parameters,
    )


def _describe_weight(parameters: Parameters) -> str:
    return "" if parameters.beta2 is None else f", b2 = {parameters.beta2:g}"


def _at_threshold(
    parameters: Parameters,
    families: Mapping[str, ThresholdFamily],
) -> Metric | None:
    """A metric at a fixed threshold, of each image or of all pixels together; None where there is none."""
    base, weighted = parameters.base.removeprefix(OVERALL), _describe_weight(parameters)
    is_overall = base != parameters.base
    family = families.get(base)
    if (base not in _BINARY and not family) or (weighted and base != "f"):
        return None
    if is_overall and family and not family.has_overall:
        return None
    label = family.label if family else _BINARY[base]
    what = family.description if family else f"{label} (of precision and recall)"
    over = "of all pixels of the set together" if is_overall else "mean over images"
    return Metric(
        str(parameters),
        f"{'overall ' * is_overall}{label} at {parameters.threshold:g}{weighted}",
        family.direction if family else "higher",
        f"{what} of the map above {parameters.threshold:g}{weighted}, {over}",
        family.citation if family else "achanta2009",
        curves=(parameters.confusion,) if is_overall else (),
        per_image=not is_overall,
        on_request=True,
        parameters=parameters,
    )


def describe_parameters(
    families: Mapping[str, ThresholdFamily],
) -> list[str]:
    """Describe each kind of parameter in a line, with the names that can have it.

    Parameters
    ----------
    families : mapping of str to ThresholdFamily

    Returns
    -------
    list of str
    """
    binary = ", ".join([*_BINARY, *families])
    overall = ", ".join(
        [*_BINARY, *(name for name, family in families.items() if family.has_overall)]
    )
    return [
        f"NAME@T: of the map above the value T in 0..1, such as iou@0.5; NAME: {binary}",
        f"NAME(b2=X): with the weight X of precision, such as f_max(b2=1) or f@0.5(b2=1); NAME: f@T, {', '.join(WITH_BETA2)}",
        f"overall_NAME@T: of all pixels of the set together, such as overall_iou@0.5; NAME: {overall}",
        "msiou_adp(levels=N): with N grids instead of 10",
    ]
