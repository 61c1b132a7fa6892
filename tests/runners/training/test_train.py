"""Training: the reference's updates, resuming to the same bits, bad numbers, the folder."""

import copy
import json
import os
import shlex
import signal
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import stop_after
from reference import model_rule
from reference import training as reference_training
from torch import Tensor, nn

from sodbench import cli, demo_data
from sodbench.datasets import Dataset, dataset_from_folders
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.images import GreyImage, decode_rgb, read_grey, write_grey, write_image
from sodbench.metrics import Evaluator
from sodbench.models import create_model, load_checkpoint
from sodbench.models.inference import normalise
from sodbench.models.processing import Processing
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction import batching
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import load_predictor
from sodbench.runners.training import train as train_module
from sodbench.runners.training import trainer, validation
from sodbench.runners.training.data import (
    AugmentedPair,
    load_augmented,
    plan_epoch,
)
from sodbench.runners.training.log import draw_curve, read_log
from sodbench.runners.training.optimizer import set_training_mode
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import RECIPES, Recipe, change_recipe
from sodbench.runners.training.train import train, train_on_demo
from sodbench.runners.training.update import Updater, _Images
from sodbench.runners.training.validation import score_network

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def short(networks: Path, twelve: Dataset, tmp_path: Path, no_curve: None) -> Training:
    """Four epochs of the small network on twelve pairs; the learning rate falls after the second."""
    recipe = change_recipe(
        Recipe(), {"epochs": 4, "milestones": [1], "accumulate": 5, "learning_rate": 1e-2}
    )
    return Training(
        twelve,
        tmp_path / "run",
        recipe,
        model=f"{networks}:small",
        device="cpu",
        save_every=3,
        random_start=True,
    )


def losses_of(training: Training) -> list[float]:
    return [record["loss"] for record in read_log(training.out) if "loss" in record]


def weights_of(training: Training) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = torch.load(training.out / "final.pth", weights_only=True)
    return weights


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- the reference -------------------------------------------------------------------------------


def updater_of(model: nn.Module, recipe: Recipe) -> Updater:
    """An updater of this network, in the recipe's training mode."""
    updater = Updater(model, recipe, CPU, ProcessGroup(CPU), "model")
    set_training_mode(model, recipe)
    return updater


def test_one_step_of_csf_is_the_references(
    ruled_csf: nn.Module, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = json.loads((data / "train_step_seed0.json").read_text())
    model = copy.deepcopy(ruled_csf)
    updater = updater_of(model, Recipe())
    x = torch.from_numpy(model_rule.network_input(1, 97, 131, 0))
    y = torch.from_numpy(model_rule.label(1, 97, 131, 0))
    monkeypatch.setattr(updater, "_inputs", lambda batch: _Images(x, y))
    pair = AugmentedPair("fixture", np.zeros((97, 131, 3), np.uint8), np.zeros((97, 131), np.uint8))

    result = updater.start_update(updater.load([pair]), 5e-5)()

    assert result.loss / 10 == pytest.approx(expected["loss"], rel=1e-5)
    groups = expected["grad_norm_l2_per_group"]
    assert result.gradient_norm == pytest.approx(groups.pop("TOTAL"), rel=1e-4)
    groups["base"] = groups.pop("base(all)")
    for group, value in groups.items():
        gradients = [
            p.grad.double().flatten()
            for name, p in model.named_parameters()
            if name.startswith(f"{group}.") and p.grad is not None
        ]
        assert torch.cat(gradients).norm().item() == pytest.approx(value, rel=1e-4), group

    before, after = ruled_csf.state_dict(), model.state_dict()
    assert sum(not torch.equal(before[k], after[k]) for k in before) == 146
    buffers = dict(model.named_buffers())
    assert all(torch.equal(before[k], buffers[k]) for k in buffers)
    with torch.no_grad():
        assert updater._losses(_Images(x, y)).item() / 10 == pytest.approx(2363.677, rel=1e-4)


def tensors(items: list[AugmentedPair]) -> list[tuple[Tensor, Tensor]]:
    return [
        (normalise(torch.from_numpy(i.pixels[None].copy())).contiguous(),
         torch.from_numpy(i.mask.copy())[None, None].float() / 255)
        for i in items
    ]  # fmt: skip


@pytest.mark.parametrize("sub_batch", [1, 10])
def test_the_whole_training_is_the_references(
    short: Training, twelve: Dataset, sub_batch: int
) -> None:
    """Against the plain loop: counter carried over, a new Adam, the same losses and weights."""
    short = replace(short, recipe=change_recipe(short.recipe, {"sub_batch": sub_batch}))
    train(short)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model(short.model)
    epochs = []
    for epoch in range(4):
        order = np.concatenate(
            plan_epoch(change_recipe(short.recipe, {"remainder": "flush"}), epoch, 12)
        )
        items = [load_augmented(twelve.samples[i], int(i), epoch, 1.0, short.recipe) for i in order]
        epochs.append(tensors(items))
    expected = reference_training.train(model, epochs, 1e-2, 5e-4, 5, [1])

    assert len(expected) == 4 * 12 // 5
    images = [record["images"] for record in read_log(short.out)]
    # the log has the mean over the images of an update, also where they are fewer
    np.testing.assert_allclose(losses_of(short), np.array(expected) * 5 / images, rtol=1e-5)
    weights = weights_of(short)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(weights[name], value, rtol=2e-4, atol=2e-6, err_msg=name)


def test_updates_of_csf_together_equal_one_by_one(twelve: Dataset, ruled_csf: nn.Module) -> None:
    """Several padded updates of the real network: losses and gradients to float rounding."""
    recipe = change_recipe(Recipe(), {"accumulate": 2})
    items = [load_augmented(s, i, 0, 1.0, recipe) for i, s in enumerate(twelve.samples)]
    updates = [[items[0], items[1]], [items[2], items[0]]]
    results = []
    for changes in ({"sub_batch": 1}, {"batching": "pad"}):
        model = copy.deepcopy(ruled_csf)
        updater = updater_of(model, change_recipe(recipe, changes))
        numbers = [astuple(updater.start_update(updater.load(u), 1e-6)()) for u in updates]
        results.append(
            (np.array(numbers), model.cls_layer.weight.grad, model.base.conv1[0].weight.grad)
        )
    (one, *one_gradients), (padded, *gradients) = results
    np.testing.assert_allclose(padded, one, rtol=1e-5)
    for gradient, expected in zip(gradients, one_gradients, strict=True):
        scale = expected.abs().max().item()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=2e-5 * scale)


# --- the run's folder, stopping and resuming ------------------------------------------------------


def test_a_run_writes_the_files_that_the_module_lists(
    short: Training, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "draw_curve", draw_curve)
    summary = train(short)
    assert (
        summary.updates == 9 and summary.images == 38 and summary.weights == short.out / "final.pth"
    )
    assert {p.name for p in short.out.iterdir()} >= {
        "recipe.toml", "run.json", "log.jsonl", "loss.png", "final.pth"
    }  # fmt: skip
    load_checkpoint(create_model(short.model), short.out / "final.pth")
    run = json.loads((short.out / "run.json").read_text())
    assert (
        run["finished"] and run["recipe"] == short.recipe.to_dict() and run["data"]["pairs"] == 12
    )
    first = read_log(short.out)[0]
    assert (
        first["step"] == 1 and first["epoch"] == 1 and first["images"] == 5 and first["lr"] == 1e-2
    )

    with pytest.raises(SodbenchError, match="--resume"):
        train(short)
    again = train(replace(short, resume=True))
    assert again.images == 0 and "finished already" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [2, 4])
def test_a_stopped_run_resumes_to_the_same_bits(
    short: Training, networks: Path, tmp_path: Path, step: int, number: int
) -> None:
    """With dropout, so that torch's random state matters; stopped within an epoch."""
    whole = replace(short, model=f"{networks}:dropping", out=tmp_path / "whole")
    broken = replace(whole, out=tmp_path / "broken")
    train(whole)
    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_after(step, monkeypatch, lambda: os.kill(os.getpid(), number))
        summary = train(broken)
    assert signal.getsignal(number) is before
    assert summary.signal == number and summary.weights is None and summary.updates == step
    assert not (broken.out / "final.pth").exists()

    train(replace(broken, resume=True))
    assert losses_of(broken) == losses_of(whole)
    assert same(weights_of(broken), weights_of(whole))


def test_a_run_that_is_stopped_in_a_validation_resumes_with_it(
    short: Training, twelve: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation can take longer than an epoch: Ctrl-C does not wait for its end."""
    whole = replace(short, validation=twelve, out=tmp_path / "whole")
    train(whole)
    scored = []

    def interrupted(path: Path) -> GreyImage:
        scored.append(path)
        if len(scored) == 15:
            os.kill(os.getpid(), signal.SIGINT)
        return read_grey(path)

    with monkeypatch.context() as patch:
        patch.setattr("sodbench.runners.training.validation.read_grey", interrupted)
        summary = train(replace(short, validation=twelve))
    assert (len(scored), summary.signal, summary.updates) == (15, signal.SIGINT, 4)

    train(replace(short, validation=twelve, resume=True))
    assert losses_of(short) == losses_of(whole)
    assert same(weights_of(short), weights_of(whole))
    scores, expected = ([r.get("validation") for r in read_log(t.out)] for t in (short, whole))
    assert scores == expected
    assert (short.out / "best.pth").read_bytes() == (whole.out / "best.pth").read_bytes()


def test_a_killed_run_resumes_from_its_last_state(
    short: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is saved at the kill: updates after the last state are made, and logged, again."""
    train(replace(short, out=tmp_path / "whole"))

    class Kill(BaseException):
        pass

    def kill() -> None:
        raise Kill

    with monkeypatch.context() as patch:
        stop_after(8, patch, kill)
        with pytest.raises(Kill):
            train(short)
    states = sorted(p.name for p in (short.out / "state").iterdir())
    assert states == ["step-0000006.pt", "step-0000007.pt"]
    with (short.out / "log.jsonl").open("a") as log:
        log.write('{"step": 9, "loss": ')
    path_otherwise = os.path.relpath(short.model)
    train(replace(short, resume=True, model=path_otherwise))
    whole = replace(short, out=tmp_path / "whole")
    assert losses_of(short) == losses_of(whole)
    assert same(weights_of(short), weights_of(whole))


def test_states_load_safely_and_only_the_last_stay(
    short: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(7, monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(replace(short, save_every=1, keep=3))
    states = sorted((short.out / "state").iterdir())
    assert [p.name for p in states] == [f"step-000000{n}.pt" for n in (5, 6, 7)]
    state = torch.load(states[-1], weights_only=True)
    assert state["random"]["cpu"].dtype == torch.uint8
    states[-1].write_bytes(states[-1].read_bytes()[:1000])
    with pytest.raises(SodbenchError, match=r"step-0000007\.pt: cannot be read"):
        train(replace(short, resume=True))


def test_resuming_refuses_another_recipe_or_other_data(
    short: Training, twelve: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(short)
    other = replace(short, resume=True, recipe=change_recipe(short.recipe, {"learning_rate": 1.0}))
    with pytest.raises(SodbenchError, match=r"recipe\.learning_rate was 0\.01, is 1\.0 now"):
        train(other)
    fewer = replace(twelve, samples=twelve.samples[:-1])
    with pytest.raises(
        SodbenchError,
        match=r"its number of pairs was 12, is 11 now; the fingerprint of its files was ",
    ):
        train(replace(short, resume=True, dataset=fewer))


def test_folders_with_other_files_are_not_changed(short: Training) -> None:
    short.out.mkdir()
    (short.out / "thesis.txt").write_text("mine")
    with pytest.raises(SodbenchError, match="holds other files"):
        train(short)
    assert [p.name for p in short.out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"finished": true'])
def test_a_damaged_run_json_is_one_error(short: Training, content: str) -> None:
    short.out.mkdir()
    (short.out / "run.json").write_text(content)
    with pytest.raises(SodbenchError, match=r"run\.json: .*choose another folder"):
        train(replace(short, resume=True))
    assert (short.out / "run.json").read_text() == content


# --- the network ---------------------------------------------------------------------------------


def test_frozen_and_trained(short: Training, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = create_model(short.model).state_dict()

    def unchanged(training: Training) -> set[str]:
        train(training)
        return {k for k, v in weights_of(training).items() if torch.equal(v, start[k])}

    kept = {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"}
    assert unchanged(short) == kept | {"fixed.weight", "fixed.bias"}
    free = change_recipe(short.recipe, {"frozen": False})
    assert unchanged(replace(short, recipe=free, out=tmp_path / "free")) == set()


def test_a_checkpoint_is_where_training_starts(short: Training, tmp_path: Path) -> None:
    train(short)
    still = change_recipe(short.recipe, {"learning_rate": 1e-30, "weight_decay": 0.0})
    onward = replace(
        short, out=tmp_path / "onward", checkpoint=short.out / "final.pth", recipe=still
    )
    train(onward)
    assert same(weights_of(onward), weights_of(short))


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"memory_format": "channels_last", "optimizer": "adamw", "loss": "structure", "clip": 1.0},
        {"optimizer": "sgd", "loss": "bce-iou", "crop": 0.5, "size": 24, "scales": [0.75, 1.0]},
    ],
)
def test_choices_train(short: Training, changes: dict[str, Any]) -> None:
    train(replace(short, recipe=change_recipe(short.recipe, changes)))
    assert len(losses_of(short)) == 9 and all(np.isfinite(losses_of(short)))
    assert json.loads((short.out / "run.json").read_text())["recipe"].items() >= changes.items()


def test_loss_falls_on_the_sample(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_curve: None
) -> None:
    few = {name: replace(c, count=16) for name, c in demo_data.CHARACTERS.items()}
    monkeypatch.setattr(demo_data, "CHARACTERS", {"DUTS-TR": few["DUTS-TR"]})
    recipe = change_recipe(
        RECIPES["sample"],
        {"name": "sample", "epochs": 10, "size": 48, "learning_rate": 3e-2, "warmup": 2},
    )
    monkeypatch.setitem(train_module.RECIPES, "sample", recipe)
    monkeypatch.setattr(train_module, "Training", partial(Training, model=f"{networks}:small"))
    root = demo_data.write_demo_data(tmp_path / "data")
    path = train_on_demo(root, tmp_path / "fit", device="cpu")
    losses = [record["loss"] for record in read_log(tmp_path / "fit")]
    assert len(losses) == 20
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    written = path.stat().st_mtime_ns
    assert train_on_demo(root, tmp_path / "fit", device="cpu").stat().st_mtime_ns == written
    assert (
        train_on_demo(root, tmp_path / "fit", device="cpu", force=True).stat().st_mtime_ns > written
    )


# --- validation ----------------------------------------------------------------------------------


def test_validation_gives_the_numbers_of_eval(
    short: Training, twelve: Dataset, tmp_path: Path
) -> None:
    summary = train(replace(short, validation=twelve, monitor="mae"))
    records = [r for r in read_log(short.out) if "validation" in r]
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    values = [r["validation"]["mae"] for r in records]
    assert summary.best == (int(np.argmin(values)) + 1, min(values))

    predictor = load_predictor(short.model, short.out / "best.pth", device="cpu")
    images = [(s.stem, s.image) for s in twelve.samples if s.image]
    predict(predictor, images, tmp_path / "maps")
    evaluator = Evaluator()
    for pair in twelve.samples:
        assert pair.mask
        map_ = read_grey(tmp_path / "maps" / f"{pair.stem}.png").pixels
        evaluator.update(map_, read_grey(pair.mask).pixels, pair.stem)
    metrics = evaluator.compute().metrics
    best = records[summary.best[0] - 1]["validation"]
    assert {k: metrics[k] for k in best} == best


def test_validation_holds_few_images_at_a_time(
    short: Training, twelve: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, most = 0, 0

    def decode(content: bytes, path: Path, place: Any) -> Any:
        nonlocal ahead, most
        ahead, most = ahead + 1, max(most, ahead + 1)
        return decode_rgb(content, path, place)

    def read(path: Path) -> Any:
        nonlocal ahead
        ahead -= 1
        return read_grey(path)

    monkeypatch.setattr(batching, "decode_rgb", decode)
    monkeypatch.setattr(validation, "read_grey", read)
    network = create_model(short.model)
    group = ProcessGroup(CPU)
    score_network(network, CPU, twelve, group, monitor="mae", workers=1, processing=Processing())
    # three batches of one image ahead, two on the device, and one for the thread that decodes
    assert 1 < most <= 8 and ahead == 0


def test_validation_is_checked_before_the_first_step(
    short: Training, twelve: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(SodbenchError, match="unknown metric 'maxf'; did you mean f_max"):
        train(replace(short, validation=twelve, monitor="maxf"))
    write_image(tmp_path / "i/a.png", np.zeros((8, 8, 3), np.uint8))
    write_grey(tmp_path / "m/a.png", np.zeros((9, 8), np.uint8))
    write_image(tmp_path / "i/b.png", np.zeros((8, 8, 3), np.uint8))
    write_grey(tmp_path / "m/b.png", np.zeros((8, 8), np.uint8))
    broken = dataset_from_folders(tmp_path / "i", tmp_path / "m")
    with pytest.raises(ProblemsError, match="cannot be scored for validation"):
        train(replace(short, validation=broken))
    assert not short.out.exists()


# --- bad numbers, bad data ------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_its_images(
    short: Training, networks: Path, twelve: Dataset, tmp_path: Path
) -> None:
    for pair in twelve.samples[:4]:
        assert pair.image and pair.mask
        (tmp_path / "i").mkdir(exist_ok=True)
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "i" / pair.image.name).write_bytes(pair.image.read_bytes())
        (tmp_path / "m" / pair.mask.name).write_bytes(pair.mask.read_bytes())
    write_image(tmp_path / "i/night.png", np.zeros((32, 40, 3), np.uint8))
    write_grey(tmp_path / "m/night.png", np.zeros((32, 40), np.uint8))
    dark = replace(
        short,
        dataset=dataset_from_folders(tmp_path / "i", tmp_path / "m"),
        model=f"{networks}:logarithm",
    )
    with pytest.raises(SodbenchError, match=r"the loss is not finite in update 1 .* for night\."):
        train(dark)
    assert not (dark.out / "final.pth").exists()


def test_too_little_memory_is_one_error(short: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(Updater, "_losses", full)
    with pytest.raises(SodbenchError, match=r"1 image\(s\) of \d+x\d+ do not fit .*--set size=N"):
        train(short)
    # batch normalisation would see other batches
    free = change_recipe(short.recipe, {"frozen": False, "size": 24})
    with pytest.raises(SodbenchError, match=r"5 image\(s\) of 24x24 do not fit .* sub_batch=N"):
        train(replace(short, recipe=free))


def test_too_few_images_for_one_update(short: Training, twelve: Dataset) -> None:
    few = replace(twelve, samples=twelve.samples[:3])
    recipe = change_recipe(short.recipe, {"remainder": "drop"})
    with pytest.raises(SodbenchError, match="3 images do not fill one update of 5"):
        train(replace(short, dataset=few, recipe=recipe))


# --- the command ----------------------------------------------------------------------------------


def test_command(
    short: Training, twelve: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "short.toml"
    recipe.write_text(short.recipe.to_toml())
    root = twelve.root
    command = ["train", "--train", str(root), "--model", short.model, "--device", "cpu",
               "--recipe", str(recipe), "-o", str(tmp_path / "run"), "--random-start"]  # fmt: skip
    assert cli.main([*command, "--set", "epochs=2", "--hold-out", "4", "--monitor", "s"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'run' / 'final.pth'}\n"
    assert "best: epoch" in captured.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["pairs"] == 8
    # so that the weights can be scored on the held-out images alone
    held_out = (tmp_path / "run" / "validation.txt").read_text().splitlines()
    assert held_out == [sample.stem for sample in twelve.samples[::3]]
    assert cli.main(command) == 2
    assert cli.main([*command, "--print-recipe"]) == 0
    assert capsys.readouterr().out == recipe.read_text()
    assert cli.main([*command, "--validate", "x", "--hold-out", "3"]) == 2


def test_resume_alone_repeats_the_options_of_the_start(
    short: Training, twelve: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "short.toml"
    recipe.write_text(short.recipe.to_toml())
    out = str(tmp_path / "run")
    command = ["train", "--train", str(twelve.root), "--model", str(short.model), "--device", "cpu",
               "--recipe", str(recipe), "--hold-out", "4", "--random-start"]  # fmt: skip
    assert cli.main([*command, "-o", str(tmp_path / "whole")]) == 0
    assert cli.main([*command, "-o", out]) == 0
    # as after a kill
    (tmp_path / "run" / "final.pth").unlink()
    capsys.readouterr()
    assert cli.main(["-q", "train", f"--output={out}", "--resume"]) == 0
    assert cli.main(["train", "-o", out, "--resume"]) == 0
    assert f"options: {shlex.join([*command, '-o', out])}\n" in capsys.readouterr().err
    for name in ("final.pth", "validation.txt"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # with any other option the words are a command of their own
    assert cli.main(["train", "-o", out, "--resume", "--train", str(twelve.root)]) == 2
    assert "csf-res2net50: neither" in capsys.readouterr().err
    # in a folder without a run it starts one, with the default dataset
    assert cli.main(["train", "-o", str(tmp_path / "new"), "--resume"]) == 2
    assert "DUTS-TR" in capsys.readouterr().err
