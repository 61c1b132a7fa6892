"""Score a validation set after every epoch of your own training loop.

    python examples/training_loop.py

The network learns to find a bright disc on noise, which takes a few seconds on a CPU.  What matters is `validate`:
an `Evaluator` takes maps and masks as they come and gives every metric at the end.
"""

import torch
from torch import nn

from sodbench.metrics import Evaluator


def make_batch(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images float32 [size, 3, 64, 64] with a bright disc on noise, and masks float32 [size, 1, 64, 64]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(size, 2, 1, 1, generator=generator) * 40 + 12
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    distances = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2).sqrt()
    masks = (distances < 10).float().unsqueeze(1)
    images = masks + 0.8 * torch.randn(size, 3, 64, 64, generator=generator)
    return images, masks


def validate(network: nn.Module, images: torch.Tensor, masks: torch.Tensor) -> dict[str, float]:
    """The metrics of a network on a validation set, with SalMetric's conventions."""
    evaluator = Evaluator(protocol="salmetric")
    network.eval()
    with torch.no_grad():
        probabilities = network(images).sigmoid()
    # Evaluators round probabilities to 8 bits, as maps are stored; batches of any size may follow one another
    evaluator.update(probabilities, masks)
    return evaluator.compute().metrics


def main() -> None:
    """Train for three epochs and print the validation metrics of each."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 1, 5, padding=2),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    validation = make_batch(16, seed=1000)
    for epoch in range(1, 4):
        network.train()
        for step in range(20):
            images, masks = make_batch(8, seed=20 * epoch + step)
            loss = nn.functional.binary_cross_entropy_with_logits(network(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        metrics = validate(network, *validation)
        print(
            f"epoch {epoch}: loss {loss.item():.4f}, "
            + ", ".join(f"{name} {metrics[name]:.4f}" for name in ("mae", "f_max", "s", "e_max"))
        )


if __name__ == "__main__":
    main()
