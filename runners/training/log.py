"""The log of a training: JSON lines, TensorBoard if it is installed, and a loss curve."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sodbench.errors import SodbenchError
from sodbench.files import report_write_errors, write_text

LOG = "log.jsonl"
CURVE = "loss.png"
BOARD = "tensorboard"


class TrainingLog:
    """Appends records to ``<folder>/log.jsonl``, and their numbers to TensorBoard.

    Parameters
    ----------
    folder : Path
        The run's folder.
    step : int
        Number of updates made so far. Later records, which a killed run may have written after its last saved state,
        are removed first.

    Raises
    ------
    SodbenchError
        If the log cannot be written.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / LOG
        lines = [json.dumps(r) + "\n" for r in read_log(folder) if r["step"] <= step]
        write_text(self.path, "".join(lines))
        with report_write_errors(self.path):
            self._file = self.path.open("a", encoding="utf-8")
        self._board = _open_tensorboard(folder / BOARD, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # flushes again what a full disk did not take
            with report_write_errors(self.path):
                self._file.close()
            if self._board:
                self._board.close()
        except (SodbenchError, OSError):
            # else a full disk stopped the training already
            if error is None:
                raise

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, at once on disk.

        Parameters
        ----------
        record : dict
            With at least ``step``, the number of updates made so far.
        """
        with report_write_errors(self.path):
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        if self._board:
            for key, value in (record | record.get("validation", {})).items():
                if isinstance(value, float):
                    self._board.add_scalar(key, value, record["step"])


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the log of a training.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Returns
    -------
    list of dict
        The records in order, without a last line that a kill cut off.

    Raises
    ------
    SodbenchError
        If the file cannot be read, or another line is not a record.
    """
    path = folder / LOG
    if not path.exists():
        return []
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SodbenchError(f"{path}: cannot be read ({error.strerror})") from error
    records = []
    for number, line in enumerate([*lines, last], 1):
        record = _parse_record(line)
        if record is not None:
            records.append(record)
        elif number <= len(lines):
            raise SodbenchError(
                f"{path}: line {number} is not a record of a training; delete that line"
            )
    return records


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Return the record in a line; None if there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None
    valid = isinstance(step, int) and (
        isinstance(record.get("loss"), float | int) or isinstance(record.get("validation"), dict)
    )
    return record if valid else None


def draw_curve(folder: Path) -> None:
    """Draw ``loss.png``: the loss of each update and its running mean, and validation metrics by epoch.

    Parameters
    ----------
    folder : Path
        The run's folder.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = read_log(folder)
    losses = [(r["step"], r["loss"]) for r in records if r.get("loss") is not None]
    validated = [r for r in records if "validation" in r]
    if not losses:
        return
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    steps, values = (np.array(column) for column in zip(*losses, strict=True))
    window = max(1, len(values) // 20)
    axes.plot(steps, values, color="#b0c4de", linewidth=0.7, label="each update")
    if window > 1:
        mean = np.convolve(values, np.ones(window) / window, "valid")
        axes.plot(steps[window - 1 :], mean, color="#0072b2", label=f"mean of {window}")
    axes.set(xlabel="update", ylabel="loss", ylim=(0, np.quantile(values, 0.99) * 1.15))
    if validated:
        right = axes.twinx()
        for name, colour in (("f_max", "#d55e00"), ("mae", "#009e73")):
            points = [(r["step"], r["validation"][name]) for r in validated]
            right.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3, label=name)
        right.set(ylabel="validation", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    with report_write_errors(folder / CURVE):
        FigureCanvasAgg(figure).print_figure(folder / CURVE, dpi=120)


def _open_tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
