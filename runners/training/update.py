"""One update of a network: the gradients of its images, of all processes, and one step of the optimiser."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sodbench.errors import SodbenchError
from sodbench.models import get_input_size
from sodbench.models.declarations import declares_output
from sodbench.models.inference import OutputRange, needs_contiguous, normalise, run_at_size
from sodbench.models.user_code import FAILURES, describe_failure, user_code
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction.batching import is_out_of_memory
from sodbench.runners.prediction.predictors import FIRST_IMAGES, double_sigmoid_problem
from sodbench.runners.training.data import AugmentedPair, TrainingBatch, group_by_size
from sodbench.runners.training.losses import LOSSES
from sodbench.runners.training.optimizer import batch_norms, make_optimizer
from sodbench.runners.training.recipe import Recipe
from sodbench.runners.training.state import get_random_state, set_random_state


@dataclass(frozen=True)
class UpdateResult:
    """What an update computed, over all processes.

    Attributes
    ----------
    loss : float
        The sum of the images' losses, divided by the recipe's ``accumulate``.
    gradient_norm : float
        Before clipping.
    """

    loss: float
    gradient_norm: float


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

    Attributes
    ----------
    network : nn.Module
    optimizer : torch.optim.Optimizer
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
    ):
        self.recipe, self.device, self.group, self.name = recipe, device, group, name
        with user_code(f"{name}: the network cannot be moved to {device}"):
            self.network = network.to(device)
        with user_code(f"{name}: the network does not give its weights"):
            self.network.state_dict()
        self.channels_last = recipe.channels_last
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if group.size > 1 and not recipe.frozen and any(batch_norms(self.network)):
            raise SodbenchError(
                "batch normalisation is trained (frozen = false), which several processes would do each "
                "on its own; train in one process, or with frozen = true"
            )
        self._forward: nn.Module = (
            torch.compile(self.network) if recipe.compiled else self.network  # type: ignore[assignment]
        )
        self.optimizer = make_optimizer(self.network, recipe)
        self.problem = ""
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
        """Set the state that `state` returned."""
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        set_random_state(state["random"], self.device)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights on the CPU: a plain state dictionary, as the reference saves it."""
        weights = {k: v.cpu() for k, v in self.network.state_dict().items()}
        return {k: v.contiguous() if v.layout == torch.strided else v for k, v in weights.items()}

    def make_update(
        self, pairs: Sequence[AugmentedPair], rate: float, label: str = "this update"
    ) -> UpdateResult:
        """Make one step of the optimiser.

        Parameters
        ----------
        pairs : sequence of AugmentedPair
            This process's images.
        rate : float
            The learning rate.
        label : str
            What to call the update in messages.

        Returns
        -------
        UpdateResult

        Raises
        ------
        SodbenchError
            If the network fails, or a loss or gradient is not finite, naming the images.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        stems, values = self._accumulate(pairs, label)
        self._check_finite(values, stems, f"the loss is not finite in {label}")
        loss = self.group.sum(values.sum().item() / self.recipe.accumulate)
        gradients = self._sum_gradients()
        # float64, because float32 loses the fourth digit over millions of values on a CPU
        norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        norm_of_each = norm.cpu().reshape(1).expand(len(stems))
        self._check_finite(norm_of_each, stems, f"the gradient is not finite in {label}")
        if self.recipe.clip:
            parameters = [p for p in self.network.parameters() if p.grad is not None]
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip, norm)
        self.optimizer.step()
        return UpdateResult(loss, norm.item())

    def _accumulate(self, pairs: Sequence[AugmentedPair], label: str) -> tuple[list[str], Tensor]:
        """Add up the images' gradients; return their stems and the loss of each (float64 on the CPU)."""
        stems: list[str] = []
        losses = [torch.zeros(0, device=self.device)]
        try:
            for batch in group_by_size(pairs, self.recipe.sub_batch):
                losses_of_batch = self._losses(*self._inputs(batch))
                (losses_of_batch.sum() / self.recipe.accumulate).backward()  # type: ignore[no-untyped-call]
                stems += batch.stems
                losses.append(losses_of_batch.detach())
        except SodbenchError:
            raise
        except FAILURES as error:
            n, height, width = batch.masks.shape
            reason = describe_failure(error)
            if is_out_of_memory(error):
                raise SodbenchError(
                    f"{n} images of {width}x{height} do not fit into the device's memory ({reason}); run "
                    "fewer together: --set sub_batch=N leaves the result the same"
                ) from error
            names = ", ".join(batch.stems[:3]) + ", ..." * (n > 3)
            raise SodbenchError(
                f"the network failed in {label} on {n} image(s) of {width}x{height} ({names}): {reason}"
            ) from error
        return stems, torch.cat(losses).double().cpu()

    def _inputs(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Return images float32 [n, 3, h, w] and masks float32 [n, 1, h, w] in 0..1, on the device."""
        x = normalise(torch.from_numpy(batch.pixels).to(self.device))
        y = torch.from_numpy(batch.masks).to(self.device).float()[:, None] / 255
        return x if self.channels_last else x.contiguous(), y

    def _losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each image, [n], of normalised images [n, 3, h, w] and masks [n, 1, h, w]."""
        size = get_input_size(self.network).for_image(*y.shape[-2:])
        logits = None if self._has_run else self._run_first(size, x)
        if logits is None:
            logits = run_at_size(size, self._run, x)
        if self._range.images < FIRST_IMAGES and not self.problem:
            self._check_range(logits.detach().flatten(1))
        return LOSSES[self.recipe.loss](logits, y)

    def _run_first(self, size: tuple[int, int], x: Tensor) -> Tensor | None:
        """Run the first batch; return None if the network fails in channels-last memory, which is then given up."""
        # What the failed attempt changed (random state, statistics of batch normalisation) is
        # restored, so that a resumed run, which tries again, continues to the same bits.
        self._has_run = True
        if not self.channels_last:
            return None
        random = get_random_state(self.device)
        buffers = {name: value.clone() for name, value in self.network.named_buffers()}
        try:
            return run_at_size(size, self._run, x)
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

    def _run(self, x: Tensor) -> Tensor:
        x = x if self.channels_last else x.contiguous()
        narrow = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if narrow else nullcontext():
            output: Tensor = self._forward(x)
        return output

    def _check_range(self, values: Tensor) -> None:
        """Record a problem if the first images' logits look like probabilities, to which a sigmoid is applied again."""
        self._range = self._range.with_images(torch.stack((values.amin(1), values.amax(1)), 1))
        enough = self._range.images >= FIRST_IMAGES
        if enough and not declares_output(self.network) and self._range.looks_like_probabilities:
            self.problem = str(double_sigmoid_problem(self.name, self._range))

    def _sum_gradients(self) -> list[Tensor]:
        """Add up the gradients of all processes, on every process, and return them."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        if self.group.size > 1 and parameters:
            # a parameter may have no gradient from the images of one process, but from another's
            has = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
            self.group.all_reduce_(has)
            parameters = [p for p, any_has in zip(parameters, has.tolist(), strict=True) if any_has]
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
            flat = self.group.all_reduce_(torch.cat([g.flatten() for g in gradients]))
            sums = torch.split(flat, [p.numel() for p in parameters])
            for p, gradient in zip(parameters, sums, strict=True):
                p.grad = gradient.view_as(p)
        return [p.grad for p in parameters if p.grad is not None]

    def _check_finite(self, values: Tensor, stems: Sequence[str], message: str) -> None:
        bad = [stem for stem, ok in zip(stems, values.isfinite().tolist(), strict=True) if not ok]
        if self.group.sum(len(bad)):
            names = [name for names in self.group.all_gather(bad) for name in names]
            raise SodbenchError(
                f"{message} for {', '.join(names)}. The last saved state is from before; look at these images, or "
                "lower the learning rate"
            )
