"""Metrics that other packages add to the catalogue, and the functions that metrics are computed with."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from sodbench.metrics.catalogue import MEASUREMENTS, METRICS, THRESHOLD_FAMILIES, curve_names
from sodbench.metrics.entries import Measurement, Metric, ThresholdFamily

# What registered metrics are computed with; the package's own functions are found by name
_formulas: dict[str, Callable[..., Any]] = {}
_pixel_functions: dict[str, Callable[..., Any]] = {}


def register_metric(metric: Metric, function: Callable[..., Any]) -> None:
    """Add a metric that is computed from the pixels.

    It is computed for every pair from then on (unless it is ``on_request``), and appears in ``--metrics`` and in tables.

    Parameters
    ----------
    metric : Metric
        Its entry; ``measurement`` may be empty.
    function : callable
        Takes a prepared map, float64 [h, w] in [0, 1], and a foreground, bool [h, w]; returns a float.  Worker
        processes must be able to import it.

    Raises
    ------
    ValueError
        For a name that is taken or has other characters than lower-case letters, digits and ``_``.
    """
    _check_new(metric.name)
    entry = {name: getattr(metric, name) for name in metric.__dataclass_fields__}
    METRICS[metric.name] = Metric(**(entry | {"measurement": metric.name}))
    MEASUREMENTS[metric.name] = Measurement(
        metric.name, f"{function.__module__}:{function.__qualname__}"
    )
    _pixel_functions[metric.name] = function


def register_threshold_family(family: ThresholdFamily, formula: Callable[..., Any]) -> None:
    """Add a metric of a binarised map, with its curve and its adaptive, maximum and mean form.

    Parameters
    ----------
    family : ThresholdFamily
        Its entry.
    formula : callable
        Takes true positives and false positives, float64 [n, t], and foreground and background pixels, float64 [n, 1];
        returns float64 [n, t] without NaN.

    Raises
    ------
    ValueError
        For a name that is taken or has other characters than lower-case letters, digits and ``_``.
    """
    if family.name in curve_names():
        raise ValueError(f"there is already a curve named {family.name!r}")
    metrics = list(family.metrics())
    for metric in metrics:
        _check_new(metric.name)
    # nor need the formula be a function of shares of pixels alone
    THRESHOLD_FAMILIES[family.name] = replace(family, has_overall=False)
    METRICS.update((metric.name, metric) for metric in metrics)
    _formulas[family.name] = formula


def _check_new(name: str) -> None:
    """Raise ValueError for a name that no new metric can have."""
    plain = name.replace("_", "")
    if not (plain.isascii() and plain.isalnum() and name == name.lower()):
        raise ValueError(
            f"{name!r} cannot name a metric; use lower-case letters, digits and underscores"
        )
    if name in METRICS:
        raise ValueError(f"there is already a metric named {name!r}")


def registered_formulas() -> dict[str, Callable[..., Any]]:
    """The formulas of `register_threshold_family`, by the family's name.

    Returns
    -------
    dict of str to callable
    """
    return dict(_formulas)


def load_pixel_function(name: str) -> Callable[..., Any]:
    """Find the function of a measurement.

    Parameters
    ----------
    name : str
        A measurement of the catalogue.

    Returns
    -------
    callable
        See `register_metric` and `Measurement`.
    """
    if name not in _pixel_functions:
        module, _, function = MEASUREMENTS[name].function.partition(":")
        _pixel_functions[name] = getattr(import_module(f"{__package__}.{module}"), function)
    return _pixel_functions[name]
