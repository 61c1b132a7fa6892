"""The loop of a training: epochs, updates, validation, the states it is resumed from, and what its folder holds."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sodbench.console import bar, logger
from sodbench.datasets import Dataset
from sodbench.errors import SodbenchError
from sodbench.files import write_text
from sodbench.metrics.catalogue import METRICS
from sodbench.models.devices import describe_machine, tensor_float
from sodbench.models.presets import get_processing
from sodbench.models.user_code import describe_failure, user_code
from sodbench.output_folder import OutputFolder
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import (
    TrainingSet,
    count_updates,
    plan_epoch,
    prefetch_updates,
    shard_indices,
)
from sodbench.runners.training.log import TrainingLog, draw_curve
from sodbench.runners.training.optimizer import (
    initial_network,
    learning_rate,
    restarts_optimizer,
    set_training_mode,
)
from sodbench.runners.training.options import Training, check_trainable
from sodbench.runners.training.run_folder import (
    BEST,
    FINAL,
    RECIPE,
    RUN_FOLDER,
    STATES,
    VALIDATION,
    check_recipe_fields,
    delete_run,
    made_no_update,
    run_identity,
)
from sodbench.runners.training.state import (
    delete_states,
    load_latest_state,
    save_state,
    save_tensors,
)
from sodbench.runners.training.update import Updater
from sodbench.runners.training.validation import score_network


class Trainer:
    """The loop of a training, and how far it is.

    Parameters
    ----------
    training : Training
    data : TrainingSet
        The pairs that can be trained on.
    device : torch.device
    group : ProcessGroup

    Attributes
    ----------
    epoch, update : int
        Finished epochs, and updates made in the current one.
    step, total : int
        Updates made, and updates of the whole training.
    images : int
        Images run by this process group.
    best : (int, float) or None
        The best epoch so far, and its metric.
    problems : list of str
        What is likely to be wrong with the network.

    Raises
    ------
    SodbenchError
        If the network cannot be trained by the recipe, or the data does not fill one update.
    """

    def __init__(
        self, training: Training, data: TrainingSet, device: torch.device, group: ProcessGroup
    ):
        self.training, self.recipe, self.data = training, training.recipe, data
        self.device, self.group = device, group
        self.total = count_updates(self.recipe, len(data))
        if self.total == 0:
            raise SodbenchError(
                f"{data.name}: {len(data)} images do not fill one update of {self.recipe.accumulate}; "
                "give more images, a smaller accumulate, or remainder = flush"
            )
        start = initial_network(training.source, self.recipe, training.backbone)
        check_trainable(start, training)
        processing = training.source.choose_processing(get_processing(start))
        self.identity = run_identity(training, processing, data)
        self.updater = Updater(
            start, self.recipe, device, group, self.identity["model"], processing
        )
        self.epoch = self.update = self.step = self.images = 0
        self.best: tuple[int, float] | None = None
        self.best_by = (
            f"{training.monitor} on {training.validation.name}" if training.validation else ""
        )
        self.problems: list[str] = []
        # Only the first process writes, so only it has one
        self._folder: OutputFolder | None = None

    # --- the run's folder --------------------------------------------------------------------------

    def prepare(self, stack: ExitStack) -> bool:
        """Start the run's folder, or resume the run in it.

        Parameters
        ----------
        stack : ExitStack
            Keeps other processes from training in the folder until it is closed.

        Returns
        -------
        bool
            Whether the run is finished already.

        Raises
        ------
        SodbenchError
            If the folder may not be used, or its state cannot be resumed.
        """
        out = self.training.out
        before = self.group.run_on_first(lambda: self._open_folder(stack))
        state = None
        if before is not None:
            self.problems = list(before["problems"])
            if before["finished"] and (out / FINAL).exists():
                self.step = before["updates"]
                self.best = before["best"] and tuple(before["best"])
                self.best_by = before["best_by"]
                # if a kill came before a finished run deleted them
                if self.group.first:
                    delete_states(out / STATES)
                return True
            state = load_latest_state(out / STATES)
        # no process writes before all have read
        self.group.all_gather(None)
        if state is not None:
            try:
                self._restore(state)
            except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
                raise SodbenchError(
                    f"{out / STATES}: the last state there does not fit this training "
                    f"({describe_failure(error)}); delete it to continue from the one before"
                ) from error
            logger.info(f"{out}: continuing after update {self.step} of {self.total}")
        if self.group.first:
            self._write_run(finished=False)
            write_text(out / RECIPE, self.recipe.to_toml())
            if validation := self.training.validation:
                names = [sample.stem for sample in validation.samples]
                write_text(out / VALIDATION, "".join(f"{name}\n" for name in names))
        return False

    def _open_folder(self, stack: ExitStack) -> Mapping[str, Any] | None:
        """Open the folder; return what ``run.json`` records of the run to continue, if there is one."""
        out = self.training.out
        data = self.training.dataset.folders
        self._folder = stack.enter_context(OutputFolder.open(out, RUN_FOLDER, data=data))
        if self._folder.manifest is None:
            return None
        if made_no_update(out):
            logger.info(f"{out}: the run there made no update, so it is started again")
            delete_run(out)
            return None
        if not self.training.resume:
            raise SodbenchError(
                f"{out}: holds a training run; give --resume to continue it, or another folder"
            )
        check_recipe_fields(out, self._folder.manifest, self.recipe)
        self._folder.check_identity(self.identity)
        return self._folder.manifest

    def _write_run(self, finished: bool) -> None:
        if self._folder:
            content = {
                "finished": finished,
                "updates": self.step,
                "best": self.best,
                "best_by": self.best_by,
                **self.identity,
                "random_start": self.training.random_start,
                "problems": self.problems,
                "precision": self.updater.precision,
                "batching": self.updater.batching,
                "memory_format": "channels_last" if self.updater.channels_last else "contiguous",
                "skipped": [str(problem) for problem in self.data.skipped],
                "processes": self.group.size,
                "threads": torch.get_num_threads(),
                "command": list(self.training.command),
                "directory": str(Path.cwd()),
                **describe_machine(self.device),
            }
            self._folder.write_manifest(content)

    def _save(self) -> None:
        if self.group.first:
            state = {
                **self.updater.state(),
                "epoch": self.epoch,
                "update": self.update,
                "best": self.best,
                "best_by": self.best_by,
            }
            save_state(self.training.out / STATES, self.step, state, self.training.keep)

    def _restore(self, state: dict[str, Any]) -> None:
        self.updater.restore(state)
        self.epoch, self.update, self.step = state["epoch"], state["update"], state["step"]
        self.best = state["best"] and tuple(state["best"])
        before = state["best_by"]
        if self.best is None or not before:
            return
        if self.best_by and self.best_by != before:
            raise SodbenchError(
                f"{self.training.out}: the best epoch so far is the best by {before}, which does not compare with "
                f"{self.best_by}; resume with what it was started with, or choose another folder"
            )
        self.best_by = before

    def _save_weights(self, name: str) -> None:
        if self.group.first:
            save_tensors(self.updater.weights(), self.training.out / name)

    # --- the loop ----------------------------------------------------------------------------------

    def run(self) -> int | None:
        """Train to the end; or, after SIGINT or SIGTERM, save, and return the signal's number."""
        with ExitStack() as stack:
            signals = stack.enter_context(_catch_signals())
            log = None
            if self.group.first:
                log = stack.enter_context(TrainingLog(self.training.out, self.step))
            stack.enter_context(tensor_float(self.updater.precision == "tf32"))
            progress = stack.enter_context(
                bar(self.total, "train", "update", initial=self.step, smoothing=0.05)
            )
            while self.epoch < self.recipe.epochs:
                epoch = f"train: epoch {self.epoch + 1}/{self.recipe.epochs}"
                progress.set_description(epoch, refresh=False)
                for record in self._run_epoch():
                    progress.set_postfix_str(
                        f"loss {record['loss']:.4g}, lr {record['lr']:.2g}", refresh=False
                    )
                    progress.update()
                    if log:
                        log.write(record)
                    # every process learns of a signal to any of them after the same update
                    if self.group.sum(len(signals)) > 0:
                        return self._stop(signals)
                    if self.training.save_every and self.step % self.training.save_every == 0:
                        self._save()
                if not self._end_epoch(log, signals):
                    return self._stop(signals)
        self._save_weights(FINAL)
        if self.group.first:
            self._write_run(finished=True)
            draw_curve(self.training.out)
            delete_states(self.training.out / STATES)
        return None

    def _stop(self, signals: Sequence[int]) -> int:
        self._save()
        logger.info(f"saved after update {self.step} of {self.total}; --resume continues there")
        return signals[0] if signals else int(signal.SIGTERM)

    def _run_epoch(self) -> Iterator[dict[str, Any]]:
        """Make the updates of this epoch that are still to be made; yield a log record after each."""
        recipe, group, updater = self.recipe, self.group, self.updater
        if self.update == 0 and restarts_optimizer(recipe, self.epoch):
            updater.restart_optimizer()
        with user_code(f"{self.training.source.name}: the network cannot be set to training mode"):
            set_training_mode(updater.network, recipe)
        plan = plan_epoch(recipe, self.epoch, len(self.data))
        shares = []
        for number in range(self.update, len(plan)):
            shares.append((number, shard_indices(self.data, plan[number], group.rank, group.size)))
        updates = prefetch_updates(
            self.data,
            recipe,
            self.epoch,
            shares,
            self.training.workers,
            updater.host_preprocessing,
        )
        coming = map(updater.load, updates)
        batches = next(coming, None)
        for number, _ in shares:
            assert batches is not None
            started = time.perf_counter()
            rate = learning_rate(recipe, self.epoch, self.step, self.total)
            label = f"update {self.step + 1} (epoch {self.epoch + 1})"
            finish = updater.start_update(batches, rate, label)
            # sent to the device while it computes
            batches = next(coming, None)
            result = finish()
            seconds = time.perf_counter() - started
            self.update, self.step = number + 1, self.step + 1
            self.images += len(plan[number])
            self._report_problem()
            yield {
                "step": self.step,
                "epoch": self.epoch + 1,
                "images": len(plan[number]),
                "loss": result.loss,
                "lr": rate,
                "gradient_norm": result.gradient_norm,
                "images_per_second": round(len(plan[number]) / seconds, 3),
            }

    def _report_problem(self) -> None:
        """Record and print, once, what the first images show to be wrong with the network."""
        if self.updater.problem and not self.problems:
            self.problems.append(self.updater.problem)
            if self.group.first:
                logger.warning(f"WARNING: {self.updater.problem}")
                self._write_run(finished=False)

    def _end_epoch(self, log: TrainingLog | None, signals: Sequence[int]) -> bool:
        """Validate and save; False if a signal ended that."""
        updates = self.update
        self.epoch, self.update = self.epoch + 1, 0
        if self.training.validation is not None:
            try:
                is_validated = self._validate(self.training.validation, log, signals)
            except SodbenchError:
                self.epoch, self.update = self.epoch - 1, updates
                self._save()
                raise
            if not is_validated:
                # the epoch is not lost: a resumed run starts with its validation
                self.epoch, self.update = self.epoch - 1, updates
                return False
        if self.training.save_every:
            self._save()
            if self.group.first:
                draw_curve(self.training.out)
        return True

    def _validate(self, dataset: Dataset, log: TrainingLog | None, signals: Sequence[int]) -> bool:
        """Score the network on a dataset, and keep its weights if they are the best so far; False if a signal came."""
        monitor = self.training.monitor
        metrics = score_network(
            self.updater.network,
            self.device,
            dataset,
            self.group,
            monitor=monitor,
            workers=self.training.workers,
            processing=self.updater.processing,
            is_stopped=lambda: bool(signals),
        )
        if metrics is None:
            return False
        if np.isnan(metrics[monitor]):
            raise SodbenchError(
                f"{monitor} is undefined on {dataset.name} after epoch {self.epoch}, so no epoch can be the best by it; "
                "choose another metric with --monitor and the same command with --resume"
            )
        sign = -1 if METRICS[monitor].direction == "lower" else 1
        if self.best is None or sign * metrics[monitor] > sign * self.best[1]:
            self.best = (self.epoch, metrics[monitor])
            self._save_weights(BEST)
        if log:
            scores = {k: metrics[k] for k in ("mae", "f_max", "s", "e_max", monitor)}
            log.write({"step": self.step, "epoch": self.epoch, "validation": scores})
            values = ", ".join(f"{k} {v:.4f}" for k, v in scores.items())
            logger.info(f"epoch {self.epoch}: {values} on {dataset.name}")
        return True


@contextmanager
def _catch_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while the block runs; a second one acts as it would without us."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, _: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])
        logger.info("interrupted: saving the state as soon as this update has ended")

    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
