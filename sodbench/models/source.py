"""Which model, with which weights and which processing: what the command line and callers choose together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sodbench.models import DEFAULT_MODEL
from sodbench.models.processing import Processing
from sodbench.models.registry import is_onnx_file


@dataclass(frozen=True)
class ModelSource:
    """A model and everything that was chosen for it.

    Parameters
    ----------
    name : str
        A registered name, ``path/to/file.py:factory``, ``path/to/file.onnx``, or a baseline.
    checkpoint : Path or str, optional
        A file of weights.
    checkpoint_key : str, optional
        The entry of the checkpoint that holds the weights, where it holds several.
    options : mapping
        Keyword arguments of the factory.
    processing : Processing, optional
        Replaces the processing that the model declares.
    changes : mapping
        Tables of `change_processing`, applied last.
    """

    name: str = DEFAULT_MODEL
    checkpoint: Path | str | None = None
    checkpoint_key: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    processing: Processing | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_onnx(self) -> bool:
        """Whether the model is an ONNX file."""
        return is_onnx_file(self.name)

    def choose_processing(self, declared: Processing) -> Processing:
        """Return the processing of the model, given what it declares itself.

        Parameters
        ----------
        declared : Processing

        Returns
        -------
        Processing

        Raises
        ------
        SodbenchError
            For a wrong change.
        """
        from sodbench.models.presets import change_processing

        processing = declared if self.processing is None else self.processing
        if not self.changes:
            return processing
        return change_processing(processing, self.changes, "--processing")


def as_source(model: str | ModelSource, checkpoint: Path | str | None = None) -> ModelSource:
    """Return the source of a model that is given by name or by all that was chosen for it.

    Parameters
    ----------
    model : str or ModelSource
    checkpoint : Path or str, optional
        A file of weights; it replaces that of a source.

    Returns
    -------
    ModelSource
    """
    if isinstance(model, str):
        return ModelSource(model, checkpoint)
    return model if checkpoint is None else replace(model, checkpoint=checkpoint)
