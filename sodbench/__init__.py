"""sodbench: train, run, score and compare salient object detection models.

These names are public and stable, as is what docs/ describes; each is imported when it is first used, so that
``import sodbench`` is quick.

>>> import sodbench
>>> result = sodbench.evaluate("maps/", "masks/", output="results/")  # doctest: +SKIP
>>> print(result.signature)  # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sodbench.first_use import import_on_first_use
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
    "Evaluation": "runners.evaluation.evaluate",
    "Evaluator": "metrics",
    "Policy": "results",
    "ReportOptions": "reports.inputs",
    "Result": "results",
    "Signature": "results",
    "SodbenchError": "errors",
    "TableOptions": "reports.one_table",
    "compare": "reports.compare",
    "create_model": "models",
    "evaluate": "runners.evaluation.evaluate",
    "evaluate_tree": "runners.evaluation.evaluate",
    "load_results": "results",
    "make_table": "reports.one_table",
    "predict_image": "runners.prediction.one_image",
    "register_dataset": "datasets",
    "register_metric": "metrics",
    "register_model": "models",
    "register_protocol": "metrics",
    "to_frame": "results",
    "update_leaderboard": "reports.leaderboard",
    "write_report": "reports.report",
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

__getattr__, __dir__ = import_on_first_use(__name__, _MODULE_OF)
