"""sodbench: train, run, score and compare salient object detection models."""

from typing import TYPE_CHECKING, Any

from sodbench.version import __version__

__all__ = ["__version__", "evaluate"]

if TYPE_CHECKING:
    from sodbench.runners.evaluation.evaluate import evaluate


def __getattr__(name: str) -> Any:
    """Import :func:`evaluate` when it is asked for, so that ``sodbench --help`` stays light."""
    if name == "evaluate":
        from sodbench.runners.evaluation.evaluate import evaluate

        return evaluate
    raise AttributeError(f"module 'sodbench' has no attribute {name!r}")
