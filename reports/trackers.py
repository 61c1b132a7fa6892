"""Log a result to an experiment tracker, one function each; the caller brings the tracker's own object."""

import math
from typing import Any

from sodbench.results import Result


def log_to_tensorboard(result: Result, writer: Any, step: int = 0) -> None:
    """Log a result to TensorBoard.

    Parameters
    ----------
    result : Result
    writer : torch.utils.tensorboard.SummaryWriter
        Or any object with ``add_scalar`` and ``add_text``.
    step : int
        The global step, for example the epoch.

    Examples
    --------
    >>> from torch.utils.tensorboard import SummaryWriter  # doctest: +SKIP
    >>> log_to_tensorboard(sodbench.evaluate("maps", "gt"), SummaryWriter("runs"), step=10)  # doctest: +SKIP
    """
    for name, value in _finite(result).items():
        writer.add_scalar(name, value, step)
    writer.add_text(f"{result.dataset}/signature", str(result.signature), step)


def log_to_mlflow(result: Result, client: Any, step: int = 0) -> None:
    """Log a result to the active run of MLflow.

    Parameters
    ----------
    result : Result
    client : module
        ``mlflow`` itself, or any object with ``log_metrics`` and ``set_tag``.
    step : int
        For example the epoch.

    Examples
    --------
    >>> import mlflow  # doctest: +SKIP
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     log_to_mlflow(sodbench.evaluate("maps", "gt"), mlflow)
    """
    client.log_metrics(_finite(result), step=step)
    client.set_tag(f"{result.dataset}.signature", str(result.signature))


def log_to_wandb(result: Result, run: Any, step: int | None = None) -> None:
    """Log a result to a run of Weights & Biases.

    Parameters
    ----------
    result : Result
    run : wandb.Run
        What ``wandb.init`` returned, or any object with ``log`` and ``config``.
    step : int, optional
        By default the run's own.

    Examples
    --------
    >>> import wandb  # doctest: +SKIP
    >>> with wandb.init(project="sod") as run:  # doctest: +SKIP
    ...     log_to_wandb(sodbench.evaluate("maps", "gt"), run)
    """
    run.log(_finite(result), step=step)
    run.config.update({f"{result.dataset}/signature": str(result.signature)})


def _finite(result: Result) -> dict[str, float]:
    """The metrics that are numbers, as ``dataset/metric``: trackers refuse or misdraw NaN."""
    return {
        f"{result.dataset}/{name}": float(value)
        for name, value in result.metrics.items()
        if math.isfinite(value)
    }
