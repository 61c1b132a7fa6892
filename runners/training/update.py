"""One update of a network: the gradients of its images, of all processes, and one step of the optimiser.

A GPU computes while Python continues, so nothing here waits for it until an update has been started whole: losses and
gradient norm are fetched together, after the next update's images have been sent to the device.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.models.declarations import declares_output
from sodbench.models.devices import choose_precision
from sodbench.models.inference import check_output, needs_contiguous, normalise
from sodbench.models.output_range import OutputRange
from sodbench.models.padding import mark_images
from sodbench.models.presets import get_processing
from sodbench.models.processing import Preprocessing, Processing
from sodbench.models.transfers import Transfers
from sodbench.models.user_code import FAILURES, describe_failure, user_code
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction.batching import is_out_of_memory
from sodbench.runners.prediction.problems import FIRST_IMAGES, double_sigmoid_problem
from sodbench.runners.training.batching import (
    LoadedBatch,
    TrainingBatch,
    choose_batching,
    group_by_size,
    pad_to_canvas,
)
from sodbench.runners.training.data import AugmentedPair
from sodbench.runners.training.losses import LOSSES
from sodbench.runners.training.optimizer import batch_norms, make_optimizer
from sodbench.runners.training.recipe import Recipe
from sodbench.runners.training.state import get_random_state, set_random_state
from sodbench.runners.training.supervision import get_supervision


@dataclass(frozen=True)
class UpdateResult:
    """What an update computed, over all processes.

    Attributes
    ----------
    loss : float
        The mean of the images' losses.
    gradient_norm : float
        Before clipping; of the sum of the images' losses, divided by the recipe's ``accumulate``.
    """

    loss: float
    gradient_norm: float


@dataclass(frozen=True)
class _Images:
    """A batch as the network and the loss take it.

    Attributes
    ----------
    x : Tensor of float32, shape [n, 3, h', w']
        Normalised, at the network's size, zeros around each image.
    y : Tensor of float32, shape [n, 1, h, w]
        Masks in 0..1.
    sizes : Tensor of int64, shape [n, 2], or None
        As of `LoadedBatch`.
    inside : Tensor of float32, shape [n, 1, h, w], or None
        1 in each image, 0 around it.
    """

    x: Tensor
    y: Tensor
    sizes: Tensor | None = None
    inside: Tensor | None = None


class _OutOfMemoryError(SodbenchError):
    """Images that do not fit in memory together."""

    def __init__(self, images: int, height: int, width: int, reason: str):
        self.images = images
        fewer = "run fewer together: --set sub_batch=N"
        smaller = "train on smaller ones (--set size=N), or on another device"
        super().__init__(
            f"{images} image(s) of {width}x{height} do not fit into the device's memory ({reason}); "
            + (smaller if images == 1 else fewer)
        )


class Updater:
    """A network and its optimiser; makes one update after another.

    Parameters
    ----------
    network : nn.Module
        At its start; it is moved to the device.
    recipe : Recipe
    device : torch.device
    group : ProcessGroup
    name : str
        Of the model, for messages.
    processing : Processing, optional
        How images enter the network and what its output means; by default what the network declares.

    Attributes
    ----------
    network : nn.Module
    optimizer : torch.optim.Optimizer
    precision : str
        ``fp32``, ``tf32`` or ``bf16``.
    batching : str
        ``exact`` or ``pad``.
    processing : Processing
    channels_last : bool
        The memory layout of weights and images. A network that fails in it is run contiguous from then on.
    problem : str
        What is likely to be wrong with the network's output, judged by its first images; empty if nothing is.

    Raises
    ------
    SodbenchError
        If the network cannot be trained as the recipe asks.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        group: ProcessGroup,
        name: str,
        processing: Processing | None = None,
    ):
        self.processing = processing or get_processing(network)
        self.recipe, self.device, self.group, self.name = recipe, device, group, name
        wanted = None if recipe.precision == "auto" else recipe.precision
        self.precision = choose_precision(wanted, device)
        self.batching = choose_batching(network, recipe, device, name, self.processing.input)
        with user_code(f"{name}: the network cannot be moved to {device}"):
            self.network = network.to(device)
        with user_code(f"{name}: the network does not give its weights"):
            self.network.state_dict()
        fastest = "channels_last" if device.type == "cuda" else "contiguous"
        wanted_format = fastest if recipe.memory_format == "auto" else recipe.memory_format
        self.channels_last = wanted_format == "channels_last"
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if group.size > 1 and not recipe.frozen and any(batch_norms(self.network)):
            raise SodbenchError(
                "batch normalisation is trained (frozen = false), which several processes would do each "
                "on its own; train in one process, or with frozen = true"
            )
        self._forward: Callable[..., Any] = self.network
        if recipe.compiled:
            # else every size of the images is compiled for itself; where all have one size, that is better
            dynamic = True if not recipe.size or recipe.scales else None
            self._forward = torch.compile(self.network, dynamic=dynamic)
        self._transfers = Transfers(device)
        self.optimizer = make_optimizer(self.network, recipe)
        self._most = recipe.sub_batch
        self.problem = ""
        self._supervision = get_supervision(network)
        self._has_run = False
        self._range = OutputRange()

    def restart_optimizer(self) -> None:
        """Create the optimiser again, without its moments."""
        self.optimizer = make_optimizer(self.network, self.recipe)

    def state(self) -> dict[str, Any]:
        """Return the state of network, optimiser and random numbers, for `restore`."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": get_random_state(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `state` returned.

        Parameters
        ----------
        state : dict
        """
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        set_random_state(state["random"], self.device)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights on the CPU: a plain state dictionary, as the reference saves it."""
        weights = {k: v.cpu() for k, v in self.network.state_dict().items()}
        return {k: v.contiguous() if v.layout == torch.strided else v for k, v in weights.items()}

    def load(self, pairs: Sequence[AugmentedPair]) -> list[LoadedBatch]:
        """Divide an update's images into batches, and start to copy them to the device.

        Parameters
        ----------
        pairs : sequence of AugmentedPair
            This process's images.

        Returns
        -------
        list of LoadedBatch
            For `start_update`.
        """
        make_batches = pad_to_canvas if self.batching == "pad" else group_by_size
        return [self._copy(batch) for batch in make_batches(pairs, self.recipe.sub_batch)]

    def _copy(self, batch: TrainingBatch) -> LoadedBatch:
        upload = self._transfers.upload
        sizes = None if batch.sizes is None else upload(batch.sizes)
        return LoadedBatch(batch.stems, upload(batch.pixels), upload(batch.masks), sizes)

    @property
    def host_preprocessing(self) -> Preprocessing | None:
        """How images are prepared before `load`; None if the device does it: resizing and ImageNet's normalisation."""
        declared = self.processing.input
        return None if declared == Preprocessing(declared.size) else declared

    def start_update(
        self, batches: Sequence[LoadedBatch], rate: float, label: str = "this update"
    ) -> Callable[[], UpdateResult]:
        """Make one step of the optimiser.

        Parameters
        ----------
        batches : sequence of LoadedBatch
            This process's images, as `load` returned them.
        rate : float
            The learning rate.
        label : str
            What to call the update in messages.

        Returns
        -------
        callable
            Waits for the device and returns an `UpdateResult`. It raises SodbenchError if a loss or the gradient is
            not finite, naming the images; the network cannot be used then.

        Raises
        ------
        SodbenchError
            If the network fails.
        """
        for group in self.optimizer.param_groups:
            # set here at every step and not by a scheduler of torch, whose state would have to be saved, too
            group["lr"] = rate
        losses, stems = self._accumulate(batches, label)
        norm = self._gradient_norm(self._sum_gradients())
        if self.recipe.clip:
            parameters = [p for p in self.network.parameters() if p.grad is not None]
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip, norm)
        self.optimizer.step()
        # one copy from the device for losses and norm together
        values = torch.cat((losses.to(norm.dtype), norm[None]))
        return lambda: self._finish(values.cpu().double(), stems, label)

    def _finish(self, values: Tensor, stems: Sequence[str], label: str) -> UpdateResult:
        """Return the result from the loss of each image and the gradient's norm, over all processes."""
        losses, norm = values[:-1], values[-1]
        self._check_finite(losses, stems, f"the loss is not finite in {label}")
        # the gradient is that of all images, so all are named
        norm_of_each = norm.reshape(1).expand(len(stems))
        self._check_finite(norm_of_each, stems, f"the gradient is not finite in {label}")
        # the processes may have different numbers of images
        total, count = self.group.sum(losses.sum().item()), self.group.sum(len(stems))
        return UpdateResult(total / count, norm.item())

    def _accumulate(
        self, batches: Sequence[LoadedBatch], label: str
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Add up the images' gradients; return the loss of each, and their stems.

        Batches that do not fit in memory are divided, from then on, where that changes nothing but rounding.
        """
        random = get_random_state(self.device)
        while True:
            parts = [part for batch in batches for part in batch.split(self._most)]
            # also after a failed attempt, which has left the gradients of some batches
            self.optimizer.zero_grad(set_to_none=True)
            try:
                losses = self._add_gradients(parts, label)
            except _OutOfMemoryError as error:
                # batch normalisation that is trained sees the batch: divided, it would compute something else
                if error.images == 1 or not self.recipe.frozen:
                    raise
                self._most = error.images // 2
                logger.info(
                    f"{error.images} images of an update do not fit in memory: running {self._most}"
                )
            else:
                return losses, tuple(stem for part in parts for stem in part.stems)
            # here, after the error and the tensors of its frames are gone
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            set_random_state(random, self.device)

    def _add_gradients(self, batches: Sequence[LoadedBatch], label: str) -> Tensor:
        losses = [torch.zeros(0, device=self.device)]
        for batch in batches:
            with self._name_failures(batch, label):
                losses_of_batch = self._losses(self._inputs(batch))
                # not by the number of images in this batch: the reference divides every loss by
                # the images of a whole update
                (losses_of_batch.sum() / self.recipe.accumulate).backward()  # type: ignore[no-untyped-call]
            losses.append(losses_of_batch.detach())
        return torch.cat(losses)

    @contextmanager
    def _name_failures(self, batch: LoadedBatch, label: str) -> Iterator[None]:
        """Turn an error of the network into one that names the images."""
        try:
            yield
        except SodbenchError:
            raise
        except FAILURES as error:
            n, height, width = batch.masks.shape
            reason = describe_failure(error)
            if is_out_of_memory(error):
                raise _OutOfMemoryError(n, height, width, reason) from error
            names = ", ".join(batch.stems[:3]) + ", ..." * (n > 3)
            raise SodbenchError(
                f"the network failed in {label} on {n} image(s) of {width}x{height} ({names}): {reason}"
            ) from error

    def _inputs(self, batch: LoadedBatch) -> _Images:
        """Return normalised images and masks."""
        x, y = batch.pixels, batch.masks.float()[:, None] / 255
        if x.dtype == torch.uint8:
            x = self._with_layout(normalise(x))
            size = self.processing.input.size.for_image(*y.shape[-2:])
            if size != y.shape[-2:]:
                x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        if batch.sizes is None:
            return _Images(self._with_layout(x), y)
        inside = mark_images(batch.sizes, *y.shape[-2:]).float()
        return _Images(self._with_layout(x) * inside, y, batch.sizes, inside)

    def _with_layout(self, x: Tensor) -> Tensor:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return x.contiguous(memory_format=layout)

    def _losses(self, images: _Images) -> Tensor:
        """Return the loss of each image, [n]."""
        output = None if self._has_run else self._run_first(images)
        if output is None:
            output = self._run(images)
        outputs = self._supervision.select(output, self.processing.output)
        for y in outputs:
            check_output(y, images.x)
            if images.sizes is not None:
                _check_on_canvas(y, images.x)
        if self._range.images < FIRST_IMAGES and not self.problem:
            self._check_range(outputs[0].detach().float().flatten(1))
        loss = LOSSES[self.recipe.loss]
        losses = [loss(self._fit_to_masks(y, images.y), images.y, images.inside) for y in outputs]
        return self._supervision.total(losses)

    def _fit_to_masks(self, values: Tensor, masks: Tensor) -> Tensor:
        """Return logits of the size of masks [n, 1, h, w] for a network's values [n, 1, h', w']."""
        values, size = values.float(), masks.shape[-2:]
        if values.shape[-2:] != size:
            values = F.interpolate(values, size=tuple(size), mode="bilinear")
        if self.processing.output.values == "probabilities":
            # the gradient is that of logits, but for pixels that float32 rounds to 0 or 1
            values = torch.logit(values, eps=1e-7)
        return values

    def _run_first(self, images: _Images) -> Any:
        """Run the first batch; return None if the network fails in channels-last memory, which is then given up."""
        # What the failed attempt changed (random state, statistics of batch normalisation) is
        # restored, so that a resumed run, which tries again, continues to the same bits.
        self._has_run = True
        if not self.channels_last:
            return None
        random = get_random_state(self.device)
        buffers = {name: value.clone() for name, value in self.network.named_buffers()}
        try:
            return self._run(images)
        except RuntimeError as error:
            if not needs_contiguous(error):
                raise
        set_random_state(random, self.device)
        with torch.no_grad():
            for name, value in self.network.named_buffers():
                value.copy_(buffers[name])
        self.network.to(memory_format=torch.contiguous_format)
        self.channels_last = False
        return None

    def _run(self, images: _Images) -> Any:
        x = self._with_layout(images.x)
        narrow = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if narrow else nullcontext():
            return self._forward(x) if images.sizes is None else self._forward(x, images.sizes)

    def _check_range(self, values: Tensor) -> None:
        """Check that the values of the first images can be what the network declares.

        Logits that look like probabilities, to which a sigmoid is applied again, are recorded as a problem.
        """
        self._range = self._range.with_images(
            torch.stack((values.amin(1), values.amax(1)), 1).detach().cpu().numpy()
        )
        if self.processing.output.values == "probabilities":
            self._range.check_probabilities(self.name)
            return
        enough = self._range.images >= FIRST_IMAGES
        if enough and not declares_output(self.network) and self._range.looks_like_probabilities:
            self.problem = str(double_sigmoid_problem(self.name, self._range))

    def _sum_gradients(self) -> list[Tensor]:
        """Add up the gradients of all processes, on every process, and return them."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        if self.group.size > 1 and parameters:
            # a parameter may have no gradient from the images of one process, but from another's
            has = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
            # every process must reduce the same tensors, so they first agree on which parameters
            # have a gradient anywhere
            self.group.all_reduce_(has)
            parameters = [p for p, any_has in zip(parameters, has.tolist(), strict=True) if any_has]
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
            # one message for all gradients instead of one for each parameter
            flat = self.group.all_reduce_(torch.cat([g.flatten() for g in gradients]))
            sums = torch.split(flat, [p.numel() for p in parameters])
            for p, gradient in zip(parameters, sums, strict=True):
                # in the parameter's memory layout, which fused optimisers require
                p.grad = torch.empty_like(p).copy_(gradient.view_as(p))
        return [p.grad for p in parameters if p.grad is not None]

    def _gradient_norm(self, gradients: Sequence[Tensor]) -> Tensor:
        norm: Tensor
        if self.device.type == "cpu":
            # float64, because float32 loses the fourth digit over millions of values on a CPU
            norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients]
            norm = torch.linalg.vector_norm(torch.stack(norms))
        else:
            norm = nn.utils.get_total_norm(gradients)
        return norm

    def _check_finite(self, values: Tensor, stems: Sequence[str], message: str) -> None:
        bad = [stem for stem, ok in zip(stems, values.isfinite().tolist(), strict=True) if not ok]
        if self.group.sum(len(bad)):
            names = [name for names in self.group.all_gather(bad) for name in names]
            raise SodbenchError(
                f"{message} for {', '.join(names)}. The last saved state is from before; look at these images, or "
                "lower the learning rate"
            )


def _check_on_canvas(y: Tensor, x: Tensor) -> None:
    """Check that maps of padded images have the canvas's size: smaller ones cannot be enlarged image by image."""
    if y.shape[-2:] != x.shape[-2:]:
        raise SodbenchError(
            f"the network declares handles_padding but returned {list(y.shape)} for padded images {list(x.shape)}; "
            "its maps must have their size"
        )
