"""The examples of docs/models.md run unchanged."""

import re

import numpy as np
import torch

from sodbench.images import read_grey, write_image
from sodbench.models import create_model
from sodbench.models import registry as registry_module


def test_the_guides_network_predicts_and_is_registered(data, tmp_path, monkeypatch):
    guide = (data.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    network, registered, in_memory = (
        next(b for b in blocks if marker in b)
        for marker in ("class MyNet", "register_model(", "NetworkPredictor")
    )
    assert len([line for line in network.splitlines() if line]) <= 10
    (tmp_path / "my_net.py").write_text(network)
    write_image(tmp_path / "photos" / "a.png", np.zeros((21, 33, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    registry_module.model_names()  # sodbench's own are registered before the copy, not in it
    monkeypatch.setattr(registry_module, "_factories", dict(registry_module._factories))

    assert create_model("my_net.py:small")(torch.zeros(1, 3, 16, 24)).shape == (1, 1, 8, 12)
    names: dict[str, object] = {}
    exec(registered, names)  # noqa: S102 -- the guide's own words
    exec(in_memory, names)  # noqa: S102
    assert read_grey(tmp_path / "maps" / "a.png").pixels.shape == (21, 33)


def test_the_guides_padded_batch_gives_the_logits_of_each_image(data):
    guide = (data.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    names: dict[str, object] = {"create_model": create_model}
    exec(next(b for b in blocks if "sizes = torch.tensor" in b), names)  # noqa: S102
    logits, alone = names["logits"].detach(), names["alone"].detach()
    assert logits.shape == (2, 1, 96, 128)
    assert torch.allclose(logits[1:, :, :64, :80], alone, rtol=0, atol=2e-5)
    assert not logits[1, :, 64:].any()
