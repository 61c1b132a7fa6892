"""Training: one readable loop, exact to the reference by default, safe to interrupt.

An update gathers the gradient of ``accumulate`` images (ten in the reference) and makes one optimiser step.
Because batch normalisation is frozen and group normalisation sees one image at a time, images of equal
size may run together: the sum of their losses, and so the update, is that of running them one by one.

A run's folder::

    recipe.toml   the recipe           run.json    what made it: model, data, versions, device
    log.jsonl     one line an update   loss.png    the loss curve
    state/        the last states, from which ``resume`` goes on to the same bits
    best.pth      the weights of the best validated epoch
    final.pth     the weights: a state dictionary in the network's own names

Under torchrun every process computes its share of each update and the gradients are added up, so that
the effective batch does not depend on the number of processes.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sodbench.console import bar, say, set_quiet, warn
from sodbench.datasets import TRAIN_SET, WEIGHTS, Dataset, find_dataset
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import write_text
from sodbench.images import read_grey, read_rgb
from sodbench.metrics import Evaluator
from sodbench.metrics.catalogue import METRICS, aggregate_names, suggest
from sodbench.models import get_input_size, get_output
from sodbench.models.devices import choose_device, describe_machine, tensor_float
from sodbench.models.inference import (
    InferenceNetwork,
    OutputRange,
    needs_contiguous,
    normalise,
    run_at_size,
)
from sodbench.models.user_code import FAILURES, describe_failure, user_code
from sodbench.parallel import thread_pool
from sodbench.runners.prediction.predict import FIRST_IMAGES, out_of_memory, squashed_twice
from sodbench.runners.training.data import (
    Batch,
    Item,
    TrainingSet,
    check_pairs,
    grouped,
    loaded_updates,
    share_of,
    total_updates,
    updates_of_epoch,
)
from sodbench.runners.training.distributed import Ranks, default_workers
from sodbench.runners.training.log import TrainingLog, draw_curve
from sodbench.runners.training.losses import LOSSES
from sodbench.runners.training.optimizer import (
    batch_norms,
    has_initial_statistics,
    initial_network,
    learning_rate,
    make_optimizer,
    restarts_optimizer,
    set_training_mode,
)
from sodbench.runners.training.recipe import RECIPES, Recipe
from sodbench.runners.training.run import (
    BEST,
    FINAL,
    RECIPE,
    RUN,
    STATES,
    forget_run,
    lock_run,
    made_no_update,
    read_run,
    refuse_another_run,
    remove_leftovers,
    run_identity,
    write_run,
)
from sodbench.runners.training.state import (
    delete_states,
    load_latest_state,
    random_state,
    restore_random_state,
    save_atomically,
    save_state,
)


@dataclass(frozen=True)
class Training:
    """What a training run is asked to do, beside the recipe.

    dataset: the training pairs; out: the run's folder.
    model: a registered name or ``path/to/file.py:factory``; backbone: a file of ImageNet weights for it;
    checkpoint: weights of the whole network to start from.
    validation: a set to score after each epoch; measure: the one that decides which epoch is best.
    save_every: updates between saved states; keep: how many of them stay.
    resume: continue the run in ``out`` (or start it).  skip_bad: leave unreadable pairs out.
    random_start: train random weights even where the recipe freezes their batch normalisation.
    """

    dataset: Dataset
    out: Path
    recipe: Recipe = RECIPES["reference"]
    model: str = "csf-res2net50"
    backbone: Path | None = None
    checkpoint: Path | None = None
    device: str = "auto"
    validation: Dataset | None = None
    measure: str = "f_max"
    save_every: int = 200
    keep: int = 2
    resume: bool = False
    skip_bad: bool = False
    workers: int | None = None
    random_start: bool = False


@dataclass(frozen=True)
class TrainingSummary:
    """What a call of :func:`train` did.

    weights: ``final.pth``, or None if the run was interrupted; updates: made in all calls together;
    images: run in this call; seconds: of this call; best: (epoch counted from 1, its measure) or None;
    best_by: the measure and the data set that this epoch is the best by, e.g. ``mae on ECSSD``;
    left_out: missing or unreadable pairs left out by ``skip_bad``; mismatched: pairs left out because their
    sizes differ; signal: the number of the signal that interrupted it, or None; problems: what is likely to be
    wrong with the network.
    """

    weights: Path | None
    updates: int
    images: int
    seconds: float
    best: tuple[int, float] | None
    left_out: int
    mismatched: int
    signal: int | None = None
    problems: tuple[str, ...] = ()
    best_by: str = ""


def train(training: Training) -> TrainingSummary:
    """Train as asked; resumes, saves and stops as the module describes.

    Raises
    ------
    SodbenchError
        For bad data before the first step, for a folder that holds another run or in which another process
        trains, for a network that fails or whose frozen batch normalisation has no statistics, and for a loss or
        gradient that is not finite (naming the images).
    """
    began = time.perf_counter()
    if training.workers is not None and training.workers < 1:
        raise SodbenchError(f"{training.workers} workers: at least 1 is needed")
    device = choose_device(training.device)
    ranks = Ranks(device)
    device = ranks.device or device
    if not ranks.first:
        set_quiet(True)
    data = check_pairs(
        training.dataset,
        skip_bad=training.skip_bad,
        decode=ranks.first and (not (training.out / RUN).exists() or made_no_update(training.out)),
        workers=training.workers,
    )
    if training.validation is not None and ranks.first:
        _check_validation(training.validation, training.measure, training.workers)
    with _random_numbers(training.recipe.seed, device), ExitStack() as held:
        trainer = Trainer(training, data, device, ranks)
        finished = trainer.prepare(held)
        if finished:
            say(f"{finished}: this training is finished already")
        stopped = None if finished else trainer.run()
    mismatched = sum(problem.kind == "size" for problem in data.skipped)
    return TrainingSummary(
        weights=training.out / FINAL if stopped is None else None,
        updates=trainer.step,
        images=trainer.images,
        seconds=time.perf_counter() - began if not finished else 0.0,
        best=trainer.best,
        left_out=len(data.skipped) - mismatched,
        mismatched=mismatched,
        signal=stopped,
        problems=tuple(trainer.problems),
        best_by=trainer.best_by,
    )


def fit_sample(data_root: Path, out: Path, *, device: str = "auto", force: bool = False) -> Path:
    """Fit CSF to the sample's training split from scratch; returns the weights' path.

    The recipe ``sample``: the real network and this very loop, in two minutes on two CPU cores.  A finished
    fit of the same recipe and data is kept unless ``force``; an interrupted one is resumed.
    """
    out = Path(out)
    if force:
        forget_run(out)
    summary = train(
        Training(
            dataset=find_dataset(TRAIN_SET, data_root),
            out=out,
            recipe=RECIPES["sample"],
            device=device,
            resume=True,
        )
    )
    if summary.weights is None:
        raise KeyboardInterrupt
    return summary.weights


class Trainer:
    """The state of a training, and its loop."""

    def __init__(self, training: Training, data: TrainingSet, device: torch.device, ranks: Ranks):
        self.training, self.recipe, self.data = training, training.recipe, data
        self.device, self.ranks = device, ranks
        self.total = total_updates(self.recipe, len(data))
        if self.total == 0:
            raise SodbenchError(
                f"{data.name}: {len(data)} images do not fill one update of {self.recipe.accumulate}; "
                "give more images, a smaller accumulate, or counter = flush"
            )
        start = initial_network(training.model, self.recipe, training.backbone, training.checkpoint)
        _refuse_unfit_network(start, training)
        with user_code(f"{training.model}: the network cannot be moved to {device}"):
            self.model = start.to(device)
        with user_code(f"{training.model}: the network does not give its weights"):
            self.model.state_dict()
        self.channels_last = self.recipe.channels_last
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if ranks.size > 1 and not self.recipe.frozen and any(batch_norms(self.model)):
            raise SodbenchError(
                "batch normalisation is trained (frozen = false), which several processes would do each "
                "on its own; train in one process, or with frozen = true"
            )
        self.network: nn.Module = (
            torch.compile(self.model) if self.recipe.compiled else self.model  # type: ignore[assignment]
        )
        self.optimizer = make_optimizer(self.model, self.recipe)
        weights = {"backbone": training.backbone, "checkpoint": training.checkpoint}
        self.identity = run_identity(self.recipe, training.model, data, weights)
        self.epoch = self.update = self.step = self.images = 0
        self.best: tuple[int, float] | None = None
        self.best_by = (
            f"{training.measure} on {training.validation.name}" if training.validation else ""
        )
        self.problems: list[str] = []
        self._ran = False
        self._range = OutputRange()

    # --- the run's folder --------------------------------------------------------------------------

    def prepare(self, held: ExitStack) -> Path | None:
        """Start the run's folder, or resume the run in it; the weights' path if that is finished.

        held: keeps other processes from training in the folder until it is closed.
        """
        out = self.training.out
        if self.ranks.first:
            self._take_folder(held)
        self.ranks.gathered(None)  # the others look at the folder after that
        before = read_run(out)
        state = None
        if before is not None:
            if not self.training.resume:
                raise SodbenchError(
                    f"{out}: holds a training run; give --resume to continue it, or another folder"
                )
            refuse_another_run(out, before, self.identity)
            if before["finished"] and (out / FINAL).exists():
                self.step = before["updates"]
                self.best = before["best"] and tuple(before["best"])
                self.best_by = before.get("best_by", self.best_by)
                self.problems = before.get("problems", [])
                if self.ranks.first:  # where a kill came before a finished run deleted them
                    delete_states(out / STATES)
                return out / FINAL
            self.problems = before.get("problems", [])
            state = load_latest_state(out / STATES)
        self.ranks.gathered(None)  # nobody writes before all have read
        if state is not None:
            try:
                self._restore(state)
            except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
                raise SodbenchError(
                    f"{out / STATES}: the last state there does not fit this training "
                    f"({describe_failure(error)}); delete it to continue from the one before"
                ) from error
            say(f"{out}: continuing after update {self.step} of {self.total}")
        if self.ranks.first:
            self._write_run(finished=False)
            write_text(out / RECIPE, self.recipe.to_toml())
        return None

    def _take_folder(self, held: ExitStack) -> None:
        """Keep other processes out of the run's folder, and remove what killed ones left there."""
        out = self.training.out
        run = read_run(out)
        held.enter_context(lock_run(out))
        remove_leftovers(out)
        if run is not None and made_no_update(out):
            say(f"{out}: the run there made no update, so it is started again")
            forget_run(out)

    def _write_run(self, finished: bool) -> None:
        content = {
            "finished": finished,
            "updates": self.step,
            "best": self.best,
            "best_by": self.best_by,
            **self.identity,
            "random_start": self.training.random_start,
            "problems": self.problems,
            "memory_format": "channels_last" if self.channels_last else "contiguous",
            "skipped": [str(problem) for problem in self.data.skipped],
            "processes": self.ranks.size,
            "threads": torch.get_num_threads(),
            **describe_machine(self.device),
        }
        write_run(self.training.out, content)

    def _save(self) -> None:
        if self.ranks.first:
            state = {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "epoch": self.epoch,
                "update": self.update,
                "best": self.best,
                "best_by": self.best_by,
                "random": random_state(self.device),
            }
            save_state(self.training.out / STATES, self.step, state, self.training.keep)

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.update, self.step = state["epoch"], state["update"], state["step"]
        self.best = state["best"] and tuple(state["best"])
        restore_random_state(state["random"], self.device)
        self._restore_best_by(state.get("best_by", ""))

    def _restore_best_by(self, before: str) -> None:
        """Refuse to compare the best value so far with one of another measure or data set."""
        if self.best is None or not before:
            return
        if self.best_by and self.best_by != before:
            raise SodbenchError(
                f"{self.training.out}: the best epoch so far is the best by {before}, which does not compare with "
                f"{self.best_by}; resume with what it was started with, or choose another folder"
            )
        self.best_by = before

    def _save_weights(self, name: str) -> None:
        """A plain state dictionary, as the reference saves it."""
        if self.ranks.first:
            weights = {k: v.cpu() for k, v in self.model.state_dict().items()}
            weights = {
                k: v.contiguous() if v.layout == torch.strided else v for k, v in weights.items()
            }
            save_atomically(weights, self.training.out / name)

    # --- the loop ----------------------------------------------------------------------------------

    def run(self) -> int | None:
        """Train to the end; or, after SIGINT or SIGTERM, save, and return the signal's number."""
        with ExitStack() as stack:
            caught = stack.enter_context(_interrupts())
            log = (
                stack.enter_context(TrainingLog(self.training.out, self.step))
                if self.ranks.first
                else None
            )
            stack.enter_context(tensor_float(self.recipe.precision == "tf32"))
            progress = stack.enter_context(
                bar(self.total, "train", "update", initial=self.step, smoothing=0.05)
            )
            while self.epoch < self.recipe.epochs:
                progress.set_description(f"train: epoch {self.epoch + 1}/{self.recipe.epochs}")
                for record in self._epoch():
                    progress.set_postfix_str(
                        f"loss {record['loss']:.4g}, lr {record['lr']:.2g}, "
                        f"{record['images_per_second']:.1f} images/s"
                    )
                    progress.update()
                    if log:
                        log.write(record)
                    if self._stopped(caught):
                        self._save()
                        say(
                            f"saved after update {self.step} of {self.total}; --resume continues there"
                        )
                        return caught[0] if caught else int(signal.SIGTERM)
                    if self.training.save_every and self.step % self.training.save_every == 0:
                        self._save()
                self._end_epoch(log)
        self._finish()
        return None

    def _finish(self) -> None:
        """Leave the weights, the curve and a finished ``run.json``; states are needed no more."""
        self._save_weights(FINAL)
        if self.ranks.first:
            self._write_run(finished=True)
            draw_curve(self.training.out)
            delete_states(self.training.out / STATES)

    def _epoch(self) -> Iterator[dict[str, Any]]:
        """Make the updates of this epoch that are still to be made; yields a log record after each."""
        recipe, ranks = self.recipe, self.ranks
        if self.update == 0 and restarts_optimizer(recipe, self.epoch):
            self.optimizer = make_optimizer(self.model, recipe)
        with user_code(f"{self.training.model}: the network cannot be set to training mode"):
            set_training_mode(self.model, recipe)
        plan = updates_of_epoch(recipe, self.epoch, len(self.data))
        shares = [
            (n, share_of(self.data, plan[n], ranks.rank, ranks.size))
            for n in range(self.update, len(plan))
        ]
        loaded = loaded_updates(self.data, recipe, self.epoch, shares, self.training.workers)
        for (number, _), items in zip(shares, loaded, strict=True):
            began = time.perf_counter()
            rate = learning_rate(recipe, self.epoch, self.step, self.total)
            loss, norm = self.make_update(items, rate)
            seconds = time.perf_counter() - began
            self.update, self.step = number + 1, self.step + 1
            self.images += len(plan[number])
            yield {
                "step": self.step,
                "epoch": self.epoch + 1,
                "images": len(plan[number]),
                "loss": loss,
                "lr": rate,
                "gradient_norm": norm,
                "images_per_second": round(len(plan[number]) / seconds, 3),
            }

    def make_update(self, items: Sequence[Item], rate: float) -> tuple[float, float]:
        """One optimiser step on these images (of this process); its loss and gradient norm, of all."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        stems, values = self._accumulated(items)
        self._stop_unless_finite(values, stems, "the loss")
        loss = self.ranks.total(values.sum().item() / self.recipe.accumulate)
        gradients = self._added_gradients()
        # float64, because float32 loses the fourth digit over millions of values on a CPU
        norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        self._stop_unless_finite(norm.cpu().reshape(1).expand(len(stems)), stems, "the gradient")
        if self.recipe.clip:
            parameters = [p for p in self.model.parameters() if p.grad is not None]
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip, norm)
        self.optimizer.step()
        return loss, norm.item()

    def _accumulated(self, items: Sequence[Item]) -> tuple[list[str], Tensor]:
        """Add the images' gradients up; their stems, and the loss of each (float64 on the CPU)."""
        stems: list[str] = []
        losses = [torch.zeros(0, device=self.device)]
        try:
            for batch in grouped(items, self.recipe.sub_batch):
                of_images = self._losses(*self._inputs(batch))
                (of_images.sum() / self.recipe.accumulate).backward()  # type: ignore[no-untyped-call]
                stems += batch.stems
                losses.append(of_images.detach())
        except SodbenchError:
            raise
        except FAILURES as error:
            n, height, width = batch.masks.shape
            reason = describe_failure(error)
            if out_of_memory(error):
                raise SodbenchError(
                    f"{n} images of {height}x{width} do not fit into the device's memory ({reason}); run "
                    "fewer together: --set sub_batch=N leaves the result the same"
                ) from error
            raise SodbenchError(
                f"the network failed in update {self.step + 1} on {n} image(s) of {height}x{width} "
                f"({', '.join(batch.stems[:3])}{', ...' if n > 3 else ''}): {reason}"
            ) from error
        return stems, torch.cat(losses).double().cpu()

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised images float32 [n, 3, h, w] and masks float32 [n, 1, h, w] in 0..1, on the device."""
        x = normalise(torch.from_numpy(batch.pixels).to(self.device))
        y = torch.from_numpy(batch.masks).to(self.device).float()[:, None] / 255
        return x if self.channels_last else x.contiguous(), y

    def _losses(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of each image, [n], of normalised images [n, 3, h, w] and masks [n, 1, h, w]."""
        inner = get_input_size(self.model).for_image(*y.shape[-2:])
        logits = self._first_logits(inner, x) if not self._ran else None
        if logits is None:
            logits = run_at_size(inner, self._run_network, x)
        if self._range.images < FIRST_IMAGES and not self.problems:
            self._check_range(logits.detach().flatten(1))
        return LOSSES[self.recipe.loss](logits, y)

    def _first_logits(self, inner: tuple[int, int], x: Tensor) -> Tensor | None:
        """The logits of the first batch; None where the network cannot run channels-last, which it then need not.

        What the failed attempt changed (random state, statistics of batch normalisation) is put back, so that a
        resumed run, which tries again, continues to the same bits.
        """
        self._ran = True
        if not self.channels_last:
            return None
        random = random_state(self.device)
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        try:
            return run_at_size(inner, self._run_network, x)
        except RuntimeError as error:
            if not needs_contiguous(error):
                raise
        restore_random_state(random, self.device)
        with torch.no_grad():
            for name, value in self.model.named_buffers():
                value.copy_(buffers[name])
        self.model.to(memory_format=torch.contiguous_format)
        self.channels_last = False
        return None

    def _check_range(self, values: Tensor) -> None:
        """Warn where the first images' logits look like probabilities, so that the sigmoid would be applied twice."""
        self._range = self._range.with_images(torch.stack((values.amin(1), values.amax(1)), 1))
        enough = self._range.images >= FIRST_IMAGES
        declared = isinstance(getattr(self.model, "output", None), str)
        if enough and not declared and self._range.looks_like_probabilities:
            problem = str(squashed_twice(self.identity["model"], self._range))
            self.problems.append(problem)
            if self.ranks.first:
                warn(f"WARNING: {problem}")
                self._write_run(finished=False)

    def _run_network(self, x: Tensor) -> Tensor:
        x = x if self.channels_last else x.contiguous()
        narrow = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if narrow else nullcontext():
            output: Tensor = self.network(x)
        return output

    def _added_gradients(self) -> list[Tensor]:
        """The gradients of all processes' shares, added up, on every process."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if self.ranks.size > 1 and parameters:
            has = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
            self.ranks.add_up(has)
            parameters = [p for p, any_has in zip(parameters, has.tolist(), strict=True) if any_has]
            flat = self.ranks.add_up(
                torch.cat(
                    [
                        (p.grad if p.grad is not None else torch.zeros_like(p)).flatten()
                        for p in parameters
                    ]
                )
            )
            for p, gradient in zip(
                parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True
            ):
                p.grad = gradient.view_as(p)
        return [p.grad for p in parameters if p.grad is not None]

    def _stop_unless_finite(self, values: Tensor, stems: Sequence[str], what: str) -> None:
        bad = [stem for stem, ok in zip(stems, values.isfinite().tolist(), strict=True) if not ok]
        if self.ranks.total(len(bad)):
            names = [name for own in self.ranks.gathered(bad) for name in own]
            raise SodbenchError(
                f"{what} is not finite in update {self.step + 1} (epoch {self.epoch + 1}) for "
                f"{', '.join(names)}. The last saved state is from before; look at these images, or lower "
                "the learning rate"
            )

    def _stopped(self, caught: list[int]) -> bool:
        """Whether any process was told to stop; all of them learn it after the same update."""
        return self.ranks.total(len(caught)) > 0

    def _end_epoch(self, log: TrainingLog | None) -> None:
        updates = self.update
        self.epoch, self.update = self.epoch + 1, 0
        if self.training.validation is not None:
            try:
                self._validate(self.training.validation, log)
            except SodbenchError:
                # the epoch is not lost: a resumed run begins with its validation
                self.epoch, self.update = self.epoch - 1, updates
                self._save()
                raise
        if self.training.save_every:
            self._save()
            if self.ranks.first:
                draw_curve(self.training.out)

    def _validate(self, dataset: Dataset, log: TrainingLog | None) -> None:
        """Score the network on the data set, and keep its weights if they are the best so far."""
        measure = self.training.measure
        metrics = self._scores(dataset)
        if np.isnan(metrics[measure]):
            raise SodbenchError(
                f"{measure} is undefined on {dataset.name} after epoch {self.epoch}, so no epoch can be the best by it; "
                "choose another metric with --monitor and the same command with --resume"
            )
        sign = -1 if METRICS[measure].direction == "lower" else 1
        if self.best is None or sign * metrics[measure] > sign * self.best[1]:
            self.best = (self.epoch, metrics[measure])
            self._save_weights(BEST)
        if log:
            shown = {k: metrics[k] for k in ("mae", "f_max", "s", "e_max", measure)}
            log.write({"step": self.step, "epoch": self.epoch, "validation": shown})
            figures = ", ".join(f"{k} {v:.4f}" for k, v in shown.items())
            say(f"epoch {self.epoch}: {figures} on {dataset.name}")

    def _scores(self, dataset: Dataset) -> dict[str, float]:
        """The measures of the network as it is, by the pixels that ``predict`` would write."""
        network = InferenceNetwork(self.model, self.device)
        pairs = [s for s in dataset.samples if s.image and s.mask]
        mine = pairs[self.ranks.rank :: self.ranks.size]
        evaluator = Evaluator(pixel_metrics=("wf",) if self.training.measure == "wf" else ())
        with thread_pool(self.training.workers or default_workers()) as pool:
            images = pool.map(lambda s: (read_rgb(s.image), read_grey(s.mask).pixels), mine)
            for sample, (pixels, mask) in zip(mine, images, strict=True):
                with user_code(f"{sample.image}: the network fails on this image in validation"):
                    (map_,) = network.start(pixels[None])()
                if map_ is None:
                    raise SodbenchError(f"{sample.image}: the network's logits are not finite")
                # as float: a uint8 map whose largest value is 1 is refused, and a young network may write one
                evaluator.update(map_.astype(np.float32) / 255, mask, sample.stem)
        first, *others = self.ranks.gathered(evaluator)
        for other in others:
            first.merge(other)
        scores: dict[str, float] = first.compute().metrics
        return scores


def _refuse_unfit_network(network: nn.Module, training: Training) -> None:
    """Refuse a network from whose start nothing can be learnt, or whose output has no loss."""
    if get_output(network) != "logits":
        raise SodbenchError(
            f"{training.model}: declares output = 'probabilities', but the losses need logits; train it without "
            "its final sigmoid"
        )
    given = training.backbone or training.checkpoint or training.random_start
    if given or not training.recipe.frozen or not has_initial_statistics(network):
        return
    weights = ""
    if training.model == "csf-res2net50":
        weights = f" ({WEIGHTS[0].url.rpartition('/')[2]}; 'sodbench data download {WEIGHTS[0].name}' fetches it)"
    raise SodbenchError(
        f"{training.model}: neither --backbone nor --checkpoint was given, and the recipe freezes batch "
        "normalisation (frozen = true), whose statistics would stay as they were created, so a random backbone "
        f"would be frozen. Give --backbone FILE{weights}, or train everything from random weights with "
        "--recipe scratch; --random-start trains it all the same"
    )


def _check_validation(dataset: Dataset, measure: str, workers: int | None) -> None:
    """Refuse an unknown measure, or files that could not be scored, before the first step."""
    if measure not in aggregate_names():
        meant = suggest(measure, aggregate_names())
        hint = f"did you mean {meant}?" if meant else f"one of {', '.join(aggregate_names())}"
        raise SodbenchError(f"unknown metric {measure!r}; {hint}")
    if METRICS[measure].direction == "neither":
        raise SodbenchError(
            f"no epoch is best by {measure}: neither a higher nor a lower value of it is better; choose another metric"
        )
    try:
        problems = check_pairs(dataset, workers=workers).skipped
    except ProblemsError as error:
        problems = error.problems
    if problems:
        raise ProblemsError(
            f"{dataset.name} cannot be scored for validation:",
            problems,
            "Fix these files: a validation set is used as a whole, also with --skip-invalid.",
        )


@contextmanager
def _random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch within, and leave the caller's random state as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM caught so far; a second one acts as it would without us."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, _: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])
        say("interrupted: finishing this update, then saving the state")

    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
