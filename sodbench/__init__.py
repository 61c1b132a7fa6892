"""sodbench: train, run, score and compare salient object detection models.

These names are public and stable, as is what docs/ describes; each is imported when it is first used, so that
``import sodbench`` is quick.

>>> import sodbench
>>> result = sodbench.evaluate("maps/", "masks/", output="results/")  # doctest: +SKIP
>>> print(result.signature)  # doctest: +SKIP
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.version import __version__

# In a checkout without symbolic links, as git makes it on Windows, metrics, runners and reports are next to this folder.
if not Path(__file__).with_name("metrics").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from sodbench.datasets import register_dataset
    from sodbench.errors import SodbenchError
    from sodbench.metrics import Evaluator, register_metric, register_protocol
    from sodbench.models import create_model, register_model
    from sodbench.reports.compare import compare
    from sodbench.reports.inputs import ReportOptions
    from sodbench.reports.leaderboard import update_leaderboard
    from sodbench.reports.one_table import TableOptions, make_table
    from sodbench.reports.report import write_report
    from sodbench.results import Policy, Result, Signature, load_results, to_frame
    from sodbench.runners.evaluation.evaluate import Evaluation, evaluate, evaluate_tree
    from sodbench.runners.prediction.one_image import predict_image

_MODULE_OF = {
    "Evaluation": "sodbench.runners.evaluation.evaluate",
    "Evaluator": "sodbench.metrics",
    "Policy": "sodbench.results",
    "ReportOptions": "sodbench.reports.inputs",
    "Result": "sodbench.results",
    "Signature": "sodbench.results",
    "SodbenchError": "sodbench.errors",
    "TableOptions": "sodbench.reports.one_table",
    "compare": "sodbench.reports.compare",
    "create_model": "sodbench.models",
    "evaluate": "sodbench.runners.evaluation.evaluate",
    "evaluate_tree": "sodbench.runners.evaluation.evaluate",
    "load_results": "sodbench.results",
    "make_table": "sodbench.reports.one_table",
    "predict_image": "sodbench.runners.prediction.one_image",
    "register_dataset": "sodbench.datasets",
    "register_metric": "sodbench.metrics",
    "register_model": "sodbench.models",
    "register_protocol": "sodbench.metrics",
    "to_frame": "sodbench.results",
    "update_leaderboard": "sodbench.reports.leaderboard",
    "write_report": "sodbench.reports.report",
}

__all__ = [
    "Evaluation",
    "Evaluator",
    "Policy",
    "ReportOptions",
    "Result",
    "Signature",
    "SodbenchError",
    "TableOptions",
    "__version__",
    "compare",
    "create_model",
    "evaluate",
    "evaluate_tree",
    "load_results",
    "make_table",
    "predict_image",
    "register_dataset",
    "register_metric",
    "register_model",
    "register_protocol",
    "to_frame",
    "update_leaderboard",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sodbench' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
