"""The reference's training loop, written plainly: one image at a time, one counter, one optimiser.

Facts: the CSF authors' solver, driven and measured (docs/training.md).  Slow, and nothing but a yardstick.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def train(
    model: nn.Module,
    epochs: Sequence[Sequence[tuple[Tensor, Tensor]]],
    learning_rate: float,
    weight_decay: float,
    accumulate: int,
    milestones: Sequence[int],
) -> list[float]:
    """Train on the pairs (x [1, 3, h, w], y [1, 1, h, w]) of each epoch in turn; the loss of each update."""
    model.eval()
    optimizer = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], learning_rate, weight_decay=weight_decay
    )
    losses = []
    counter = 0
    for epoch, pairs in enumerate(epochs):
        model.zero_grad()
        loss_of_update = 0.0
        for x, y in pairs:
            loss = F.binary_cross_entropy_with_logits(model(x), y, reduction="sum") / accumulate
            loss.backward()
            loss_of_update += loss.item()
            counter += 1
            if counter % accumulate == 0:
                optimizer.step()
                model.zero_grad()
                losses.append(loss_of_update)
                loss_of_update = 0.0
        if epoch in milestones:
            learning_rate *= 0.1
            optimizer = torch.optim.Adam(
                [p for p in model.parameters() if p.requires_grad],
                learning_rate,
                weight_decay=weight_decay,
            )
    return losses
