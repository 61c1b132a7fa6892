"""Trainings that cannot work, and folders of killed or foreign ones: nothing silent, nothing lost."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupted import stop_after
from torch import nn

from sodbench import cli
from sodbench.datasets import Dataset, dataset_from_folders
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import lock_folder, temporary_name
from sodbench.images import read_grey, write_grey, write_image
from sodbench.runners.training.log import read_log
from sodbench.runners.training.optimizer import has_initial_statistics
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import RECIPES, Recipe, change_recipe
from sodbench.runners.training.train import train
from sodbench.runners.training.update import Updater

pytestmark = pytest.mark.usefixtures("one_thread", "no_curve")

NETWORKS = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 1)
        self.last = nn.Conv2d(4, 1, 1)
    def forward(self, x):
        return self.last(self.c(x).relu())

class Squashed(Plain):
    def forward(self, x):
        return super().forward(x).sigmoid()

class Declared(Squashed):
    output = "probabilities"

class Prepared(Plain):
    from sodbench.models import Preprocessing, Processing
    processing = Processing(Preprocessing(scale="none", channels="bgr"))

class Insisting(Squashed):
    output = "logits"

class Viewing(Plain):
    def __init__(self):
        super().__init__()
        self.drop, self.norm = nn.Dropout2d(0.5), nn.BatchNorm2d(3)
    def forward(self, x):
        x = self.drop(self.norm(x))
        return super().forward(x.view(len(x), -1).view(x.shape))

class Reshaping(Viewing):
    def forward(self, x):
        x = self.drop(self.norm(x))
        return Plain.forward(self, x.reshape(len(x), -1).view(x.shape))

class Failing(Plain):
    def forward(self, x):
        if not self.training:
            raise ValueError("not in evaluation mode")
        if x.shape[-2:] == (36, 36):
            raise RuntimeError("squares are not\\nwelcome")
        return super().forward(x)

class NoValidation(Plain):
    def forward(self, x):
        if not self.training:
            raise ValueError("not in evaluation mode")
        return super().forward(x)

class Frozen(Plain):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)

class Secret(Plain):
    def state_dict(self, *args, **options):
        raise RuntimeError("no weights")

class Untrained(Plain):
    def train(self, mode=True):
        raise RuntimeError("no training")

class Sparse(Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("graph", torch.eye(3).to_sparse())

class Normalised(Plain):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
    def forward(self, x):
        return super().forward(self.norm(x))

def pretrained():
    network = Normalised()
    network.norm.running_mean[1] = 0.25
    return network
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETWORKS)
    return path


@pytest.fixture
def short(file: Path, twelve: Dataset, tmp_path: Path) -> Training:
    """Two epochs on twelve pairs."""
    recipe = change_recipe(Recipe(), {"epochs": 2, "accumulate": 4, "learning_rate": 1e-3})
    return Training(twelve, tmp_path / "run", recipe, model=f"{file}:Plain", device="cpu")


def of_model(training: Training, file: Path, model: str) -> Training:
    return replace(training, model=f"{file}:{model}")


# --- the start -----------------------------------------------------------------------------------------


def test_a_random_backbone_is_not_frozen(
    twelve: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", "--train", str(twelve.root), "-o", str(out), "--device", "cpu", "--quiet"]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "csf-res2net50: neither --backbone nor --checkpoint was given" in line
    assert "res2net50_v1b_26w_4s-3cf99910.pth" in line and "data download res2net50-v1b" in line
    assert "--recipe scratch" in line and "--random-start" in line
    assert not out.exists()


def test_only_statistics_of_no_data_are_refused(
    short: Training, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SodbenchError, match=r"Normalised: neither --backbone nor --checkpoint"):
        train(of_model(short, file, "Normalised"))
    train(of_model(short, file, "pretrained"))
    free = change_recipe(short.recipe, {"frozen": False})
    train(replace(of_model(short, file, "Normalised"), recipe=free, out=tmp_path / "free"))
    train(replace(of_model(short, file, "Normalised"), random_start=True, out=tmp_path / "random"))
    assert not has_initial_statistics(nn.Conv2d(3, 1, 1))


def test_a_network_without_anything_to_train_is_refused(short: Training, file: Path) -> None:
    with pytest.raises(SodbenchError, match=r"no parameter is trained; .*frozen=false"):
        train(of_model(short, file, "Frozen"))


def test_a_network_that_ends_in_a_sigmoid_is_reported(
    short: Training, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(of_model(short, file, "Squashed"))
    (problem,) = summary.problems
    assert "output-range: nets.py:Squashed: its values for" in problem
    assert capsys.readouterr().err.count("output-range") == 1
    assert json.loads((short.out / "run.json").read_text())["problems"] == [problem]
    assert train(replace(of_model(short, file, "Squashed"), resume=True)).problems == (problem,)

    for model in ("Plain", "Insisting", "Declared", "Prepared"):
        assert not train(replace(of_model(short, file, model), out=tmp_path / model)).problems


def test_a_doubtful_network_is_status_1(file: Path, twelve: Dataset, tmp_path: Path) -> None:
    command = [
        "train",
        "--train",
        str(twelve.root),
        "--device",
        "cpu",
        "--set",
        "epochs=2",
        "--quiet",
    ]
    for model, status in (("Squashed", 1), ("Plain", 0)):
        options = ["--model", f"{file}:{model}", "-o", str(tmp_path / model)]
        assert cli.main([*command, *options]) == status


# --- the network ---------------------------------------------------------------------------------------


def test_view_in_a_channels_last_recipe(short: Training, file: Path, tmp_path: Path) -> None:
    """The same training as with .reshape, which needs no change of layout; also after an interruption."""
    recipe = change_recipe(short.recipe, {"memory_format": "channels_last", "frozen": False})
    contiguous = change_recipe(recipe, {"memory_format": "contiguous"})
    viewing = replace(of_model(short, file, "Viewing"), recipe=recipe)
    train(viewing)
    assert json.loads((short.out / "run.json").read_text())["memory_format"] == "contiguous"
    train(
        replace(of_model(short, file, "Reshaping"), recipe=contiguous, out=tmp_path / "reshaping")
    )
    a, b = (torch.load(out / "final.pth") for out in (short.out, tmp_path / "reshaping"))
    assert all(torch.equal(a[k], b[k]) for k in a)

    broken = replace(viewing, out=tmp_path / "broken")
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_after(2, monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train(broken).signal == signal.SIGTERM
    train(replace(broken, resume=True))
    c = torch.load(broken.out / "final.pth")
    assert all(torch.equal(a[k], c[k]) for k in a)


def test_an_error_of_the_network_names_images_size_and_line(short: Training, file: Path) -> None:
    line = NETWORKS[: NETWORKS.index("raise RuntimeError")].count("\n") + 1
    with pytest.raises(SodbenchError) as caught:
        train(of_model(short, file, "Failing"))
    assert re.fullmatch(
        r"the network failed in update 1 \(epoch 1\) on \d image\(s\) of 36x36 \(pair\d\d.*\): "
        rf"RuntimeError: squares are not welcome \(nets\.py:{line}\)",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "Secret",
            r"the network does not give its weights: RuntimeError: no weights \(nets\.py:\d+\)$",
        ),
        (
            "Untrained",
            r"cannot be set to training mode: RuntimeError: no training \(nets\.py:\d+\)$",
        ),
    ],
)
def test_other_errors_of_the_users_code_are_one_line(
    short: Training, file: Path, model: str, message: str
) -> None:
    with pytest.raises(SodbenchError, match=message):
        train(of_model(short, file, model))


def test_a_network_with_a_sparse_buffer_trains(short: Training, file: Path) -> None:
    assert train(of_model(short, file, "Sparse")).updates == 6


def test_a_validation_that_fails_loses_no_epoch(
    short: Training, file: Path, twelve: Dataset
) -> None:
    training = replace(of_model(short, file, "NoValidation"), validation=twelve, save_every=0)
    refused = (
        r"^validation: .*/pair\d\d\.png: 36x36 is refused by the network \(ValueError: not in eval"
    )
    with pytest.raises(SodbenchError, match=refused):
        train(training)
    assert sum("loss" in record for record in read_log(short.out)) == 3
    assert (short.out / "state" / "step-0000003.pt").exists()
    with pytest.raises(SodbenchError, match=r"^validation: "):  # before any update
        train(replace(training, resume=True))
    assert sum("loss" in record for record in read_log(short.out)) == 3


@pytest.mark.parametrize("workers", [0, -1])
def test_a_wrong_number_of_workers_is_one_line(short: Training, workers: int) -> None:
    with pytest.raises(SodbenchError, match=f"{workers} workers: at least 1 is needed"):
        train(replace(short, workers=workers))


# --- masks ---------------------------------------------------------------------------------------------


def test_masks_of_0_and_1_are_refused_by_name(
    short: Training, twelve: Dataset, tmp_path: Path
) -> None:
    for pair in twelve.samples:
        assert pair.image and pair.mask
        for kind, path in (("i", pair.image), ("m", pair.mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    for stem in ("pair03", "pair07"):
        path = tmp_path / "m" / f"{stem}.png"
        write_grey(path, (read_grey(path).pixels > 127).astype(np.uint8))
    write_grey(
        tmp_path / "m" / "pair05.png", np.zeros_like(read_grey(tmp_path / "m/pair05.png").pixels)
    )
    training = replace(short, dataset=dataset_from_folders(tmp_path / "i", tmp_path / "m"))
    with pytest.raises(ProblemsError) as caught:
        train(training)
    problems = caught.value.problems
    assert [(p.kind, Path(p.file).name) for p in problems] == [
        ("mask-coding", "pair03.png"),
        ("mask-coding", "pair07.png"),
    ]
    assert not training.out.exists()
    assert train(replace(training, skip_invalid=True)).left_out == 2


def test_a_run_inside_the_folder_of_its_images_is_refused(short: Training) -> None:
    folder = short.dataset.folders[0]
    with pytest.raises(SodbenchError, match="which holds images, masks or maps"):
        train(replace(short, out=folder / "run"))
    assert not (folder / "run").exists()


def test_bad_files_of_a_validation_set_are_not_sent_to_skip_bad(
    short: Training, twelve: Dataset, tmp_path: Path
) -> None:
    for kind in ("i", "m"):
        write_image(tmp_path / kind / "a.png", np.full((8, 8), 1, np.uint8))
        write_image(tmp_path / kind / "b.png", np.full((8, 8), 255, np.uint8))
    (tmp_path / "i" / "b.png").write_bytes(b"no image")
    validation = dataset_from_folders(tmp_path / "i", tmp_path / "m", name="held")
    with pytest.raises(ProblemsError, match="held cannot be scored for validation") as caught:
        train(replace(short, validation=validation, skip_invalid=True))
    assert sorted(p.kind for p in caught.value.problems) == ["mask-coding", "unreadable"]
    assert "leave them out" not in str(caught.value)


# --- the folder ----------------------------------------------------------------------------------------


def killed() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_kill_within_the_first_write_does_not_block_the_folder(short: Training) -> None:
    (short.out / "state").mkdir(parents=True)
    number = killed()
    for folder in (short.out, short.out / "state"):
        (folder / temporary_name(number)).write_text("{")
    train(replace(short, resume=True))
    assert not [p for p in short.out.rglob("*") if p.name.endswith(".tmp")]
    assert not (short.out / "state").exists()


def test_a_finished_run_deletes_what_a_kill_left(short: Training) -> None:
    train(short)
    (short.out / "state").mkdir()
    (short.out / "state" / "step-0000006.pt").write_text("")
    (short.out / temporary_name(killed())).write_text("")
    train(replace(short, resume=True))
    assert {p.name for p in short.out.iterdir()} <= {
        "recipe.toml", "run.json", "log.jsonl", "final.pth", "tensorboard"
    }  # fmt: skip


def test_hidden_files_of_others_still_count(short: Training) -> None:
    short.out.mkdir()
    for name in (".notes.tmp", ".cache"):
        (short.out / name).write_text("mine")
        with pytest.raises(SodbenchError, match="holds other files"):
            train(short)
        (short.out / name).unlink()


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_without_an_update_is_started_again(
    short: Training,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    resume: bool,
) -> None:
    """Also by another recipe: there is nothing to continue."""

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(Updater, "_losses", fail)
        with pytest.raises(SodbenchError, match="a mistake"):
            train(short)
    assert (short.out / "run.json").exists()
    other = change_recipe(short.recipe, {"learning_rate": 0.5})
    summary = train(replace(short, recipe=other, resume=resume))
    assert summary.updates == 6
    assert "made no update, so it is started again" in capsys.readouterr().err
    assert json.loads((short.out / "run.json").read_text())["recipe"]["learning_rate"] == 0.5


def test_two_processes_do_not_train_in_one_folder(short: Training) -> None:
    with (
        lock_folder(short.out),
        pytest.raises(SodbenchError, match="another process is training into this folder"),
    ):
        train(short)
    assert train(short).updates == 6


def test_every_difference_to_the_resumed_run_is_named(
    short: Training, file: Path, twelve: Dataset, tmp_path: Path
) -> None:
    train(short)
    weights = tmp_path / "start.pth"
    weights.write_bytes((short.out / "final.pth").read_bytes())
    images = tmp_path / "data"
    for pair in twelve.samples:
        assert pair.image and pair.mask
        for path in (pair.image, pair.mask):
            copy = images / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes() + b" " * (path.stem == "pair05"))
    changed_files = dataset_from_folders(images / "image", images / "mask", name="twelve")
    other = replace(twelve, samples=twelve.samples[1:], name="eleven")
    cases = [
        ({"model": f"{file}:Insisting"}, "the model was nets.py:Plain, is nets.py:Insisting now"),
        ({"checkpoint": weights}, "the hash of the checkpoint was none, is "),
        (
            {"dataset": other},
            "the training set was twelve, is eleven now; its number of pairs was 12, is 11 now; ",
        ),
        (
            {"dataset": changed_files},
            "the fingerprint of its files was ",
        ),
        (
            {"recipe": change_recipe(short.recipe, {"flip": False, "epochs": 3})},
            "recipe.epochs was 2, is 3 now; recipe.flip was True, is False now. Choose",
        ),
    ]
    for change, message in cases:
        with pytest.raises(SodbenchError) as caught:
            train(replace(short, resume=True, **change))  # type: ignore[arg-type]
        assert f"made with other inputs or settings: {message}" in str(caught.value)
        assert "{" not in str(caught.value)
    file.write_text(NETWORKS + "# changed\n")
    with pytest.raises(SodbenchError, match=r"the hash of the model's file was "):
        train(replace(short, resume=True))


def test_a_run_of_another_version_is_not_resumed(short: Training) -> None:
    train(short)
    run = json.loads((short.out / "run.json").read_text())
    for field in ("batching", "memory_format"):
        del run["recipe"][field]
    run["recipe"]["channels_last"] = False
    (short.out / "run.json").write_text(json.dumps(run))
    with pytest.raises(
        SodbenchError,
        match=r"another version of sodbench \(sodbench \S+\): its recipe has channels_last and lacks batching, "
        r"memory_format\. Resume it with that version, or choose another folder",
    ):
        train(replace(short, resume=True))


@pytest.mark.parametrize(
    "change",
    [
        {"best": 3}, {"best": ["a", "b"]}, {"updates": "many"}, {"finished": 1}, {"problems": "none"},
        {"recipe": 3}, {"recipe": []}, {"start": None}, {"data": "x"}, {"problems": [3]},
    ],
)  # fmt: skip
def test_an_edited_run_json_is_one_error(short: Training, change: dict[str, object]) -> None:
    train(short)
    run = json.loads((short.out / "run.json").read_text())
    (short.out / "run.json").write_text(json.dumps(run | change))
    with pytest.raises(
        SodbenchError, match=r"run\.json: damaged, or not the record of a training|other inputs"
    ):
        train(replace(short, resume=True))


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b'{"loss": 1.0}', b'{"step": "x", "loss": 1}', b"\xff\xfe"]
)
def test_a_log_with_another_line_is_one_error(
    short: Training, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(short)
    log = short.out / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.index(b"\n") + 1] + content + b"\n" + whole)
    with pytest.raises(SodbenchError, match=r"log\.jsonl: line 2 is not a record of a training"):
        train(replace(short, resume=True))


@pytest.mark.parametrize("damage", ["model", "optimizer", "random", "best", "epoch"])
def test_a_state_that_does_not_fit_is_one_error(
    short: Training, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(short)
    (path,) = (short.out / "state").iterdir()
    state = torch.load(path, weights_only=True)
    for value in (None if damage != "best" else 3, "gone"):
        if value == "gone":
            state.pop(damage)
        else:
            state[damage] = value
        torch.save(state, path)
        if damage == "epoch" and value is None:
            continue
        with pytest.raises(SodbenchError, match="the last state there does not fit this training"):
            train(replace(short, resume=True))


def test_a_full_disk_is_one_error_and_nothing_is_lost(
    short: Training, monkeypatch: pytest.MonkeyPatch, no_file_beyond: Callable[[int], object]
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(short)
    size = (short.out / "log.jsonl").stat().st_size
    with no_file_beyond(size + 40), pytest.raises(SodbenchError, match="cannot be written"):  # type: ignore[attr-defined]
        train(replace(short, resume=True))
    train(replace(short, resume=True))
    assert [r["step"] for r in read_log(short.out) if "loss" in r] == [1, 2, 3, 4, 5, 6]


def test_the_scratch_recipe_trains_from_random_weights() -> None:
    assert not RECIPES["scratch"].frozen and not RECIPES["sample"].frozen


def test_tiny_crops_and_scales_keep_a_pixel(short: Training, tmp_path: Path) -> None:
    write_image(tmp_path / "i/a.png", np.zeros((3, 3, 3), np.uint8))
    write_grey(tmp_path / "m/a.png", np.zeros((3, 3), np.uint8))
    recipe = change_recipe(
        short.recipe, {"crop": 0.001, "scales": [0.01], "accumulate": 1, "epochs": 3}
    )
    data = dataset_from_folders(tmp_path / "i", tmp_path / "m")
    assert train(replace(short, dataset=data, recipe=recipe)).updates == 3


# --- the best epoch --------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["threshold", "ber_max", "fpr_max"])
def test_no_epoch_is_best_by_a_metric_without_a_direction(
    short: Training, twelve: Dataset, measure: str
) -> None:
    with pytest.raises(SodbenchError, match=f"no epoch is best by {measure}: neither a higher"):
        train(replace(short, validation=twelve, monitor=measure))
    assert not (short.out / "run.json").exists()


def test_no_epoch_is_best_by_an_undefined_metric(short: Training, tmp_path: Path) -> None:
    """The first epoch would stay the best for ever, because nothing is better than NaN."""
    mask = np.zeros((24, 24), np.uint8)
    mask[-1, -1] = 255  # a block of S has no pixels
    write_image(tmp_path / "v/Imgs/a.jpg", np.zeros((24, 24, 3), np.uint8))
    write_grey(tmp_path / "v/GT/a.png", mask)
    corner = dataset_from_folders(tmp_path / "v/Imgs", tmp_path / "v/GT", name="corner")
    with pytest.raises(SodbenchError, match="s is undefined on corner after epoch 1"):
        train(replace(short, validation=corner, monitor="s"))
    assert not (short.out / "best.pth").exists()
    summary = train(replace(short, validation=corner, monitor="mae", resume=True))
    assert summary.updates == 6 and summary.best and summary.best_by == "mae on corner"


def test_the_best_epoch_is_not_chosen_by_two_metrics(
    short: Training, twelve: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(4, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train(replace(short, validation=twelve, monitor="f_max")).updates == 4
    changed_ = [{"monitor": "mae"}, {"validation": replace(twelve, name="another")}]
    for change in changed_:
        with pytest.raises(
            SodbenchError, match="the best epoch so far is the best by f_max on twelve"
        ):
            train(replace(short, **{"validation": twelve, "resume": True, **change}))  # type: ignore[arg-type]
    train(replace(short, validation=twelve, monitor="f_max", resume=True))
    # asked again without --validate, it names what the best epoch was chosen by
    assert train(replace(short, resume=True)).best_by == "f_max on twelve"
