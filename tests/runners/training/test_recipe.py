"""Recipes: the reference's values, TOML there and back, changes with their types checked."""

from pathlib import Path

import pytest

from sodbench.errors import SodbenchError
from sodbench.runners.training.losses import LOSSES
from sodbench.runners.training.optimizer import OPTIMIZERS, SCHEDULES, learning_rate
from sodbench.runners.training.recipe import (
    CHOICES,
    RECIPES,
    Recipe,
    change_recipe,
    load_recipe,
)


def test_a_recipe_names_every_loss_optimizer_and_schedule() -> None:
    assert CHOICES["loss"] == tuple(LOSSES)
    assert CHOICES["optimizer"] == tuple(OPTIMIZERS)
    assert CHOICES["schedule"] == tuple(SCHEDULES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_a_round_trip_through_toml(name: str, tmp_path: Path) -> None:
    recipe = change_recipe(RECIPES[name], {"scales": [0.75, 1, 1.25], "name": 'a "b" \\ \n\x7f é'})
    path = tmp_path / f"{name}.toml"
    path.write_text(recipe.to_toml())
    assert load_recipe(str(path)) == recipe


def test_a_file_changes_the_recipe_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "scratch"\nlearning_rate = 1\nmilestones = [3, 5]\n')
    recipe = load_recipe(str(path), ["epochs=2", "loss=structure", "flip=false", "scales=[1.0, 2]"])
    assert recipe == change_recipe(
        RECIPES["scratch"],
        {
            "name": "mine",
            "learning_rate": 1.0,
            "milestones": [3, 5],
            "epochs": 2,
            "loss": "structure",
            "flip": False,
            "scales": [1.0, 2.0],
        },
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epoch=3", "no 'epoch'; it has name, optimizer"),
        ("epochs=3.5", "epochs = 3.5: expected a whole number"),
        ("epochs=0", "epochs = 0: must be at least 1"),
        ("flip=1", "flip = 1: expected true or false"),
        ("loss=mse", "loss = 'mse': one of bce-sum, bce, bce-iou, structure"),
        ("scales=2", "scales = 2: expected a list of numbers"),
        ("learning_rate=-1", "learning_rate = -1.0: must be above 0 and at most 1000"),
        ("learning_rate=0", "must be above 0"),
        ("learning_rate=nan", "learning_rate = nan: must be above 0"),
        ("learning_rate=inf", "at most 1000"),
        ("weight_decay=nan", "weight_decay = nan: must be at least 0"),
        ("weight_decay=-0.1", "weight_decay = -0.1"),
        ("clip=nan", "clip = nan"),
        ("crop=nan", "crop = nan: must be at least 0 and at most 1"),
        ("crop=1.5", "at most 1"),
        ("scales=[1.0, nan]", r"scales = \(1.0, nan\): must be above 0 and at most 8"),
        ("scales=[0.0]", "must be above 0"),
        ("scales=[1000000]", "at most 8"),
        ("size=1000000", "size = 1000000: must be at least 0 and at most 8192"),
        ("epochs=1000000000000", "epochs = 1000000000000: must be at least 1 and at most 100000"),
        ("milestones=[-1]", "milestones"),
        ("seed=99999999999999999999", "seed"),
        ("sub_batch=0", "sub_batch = 0: must be at least 1"),
        ("epochs", "write KEY=VALUE"),
    ],
)
def test_wrong_changes_are_named(change: str, message: str) -> None:
    with pytest.raises(SodbenchError, match=message):
        load_recipe("reference", [change])


def test_unknown_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SodbenchError, match="reference, scratch, sample"):
        load_recipe("refrence")
    with pytest.raises(SodbenchError, match="no such recipe file"):
        load_recipe(str(tmp_path / "none.toml"))
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("epochs = 3\nchannels_last = false\n")
    with pytest.raises(
        SodbenchError,
        match=r"unknown\.toml: a recipe has no 'channels_last'; it has name, optimizer",
    ):
        load_recipe(str(unknown))
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs 3")
    with pytest.raises(SodbenchError, match=r"broken\.toml: cannot be read as TOML"):
        load_recipe(str(broken))


def test_the_reference_schedule_divides_after_the_sixteenth_epoch() -> None:
    rates = [learning_rate(Recipe(), epoch, 0, 1) for epoch in range(24)]
    assert rates == [5e-5] * 16 + [5e-5 * 0.1] * 8


def test_cosine_with_warmup() -> None:
    recipe = change_recipe(Recipe(), {"schedule": "cosine", "warmup": 4, "learning_rate": 1.0})
    rates = [learning_rate(recipe, 0, step, 100) for step in range(100)]
    assert rates[0] == 0.25
    assert rates[50] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.000247, rel=1e-2)
