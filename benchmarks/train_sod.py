"""What training from scratch gives on real images: 200 of SOD to train on, the other 100 to score.

    python benchmarks/train_sod.py --data-root DIR -o RUN [--minutes 5 | --epochs 40] [--size 224] [--json FILE]

DIR holds SOD in any layout. No backbone file is used, so this shows that training works on real data, not how
good CSF is. The 100 images are every third by name. They are predicted at ``--max-side``, by default about the
scale of training, next to the two baselines, all scored at native size under the default protocol. ``--minutes``
times two epochs first, and trains for as many as fit; the learning rate falls to zero over them. All images of a step
have one size, so they run together; on a GPU in channels-last memory with TF32 in convolutions.

RUN gets the training with its loss curve (``training/loss.png``), the maps, and ``maps.png``: image, mask, CSF and
baselines of eight images. The numbers go to ``--json``; images of SOD stay in RUN. A run that was interrupted is
continued.
"""

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from record import describe_machine, print_and_store

from sodbench.cli.train import hold_out
from sodbench.datasets import Dataset, find_dataset
from sodbench.images import read_grey
from sodbench.metrics import Evaluator
from sodbench.models import BASELINES
from sodbench.models.devices import choose_device
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import load_predictor
from sodbench.runners.training.log import read_log
from sodbench.runners.training.options import Training, TrainingSummary
from sodbench.runners.training.recipe import RECIPES, change_recipe, load_recipe
from sodbench.runners.training.run_folder import RECIPE, RUN, delete_run
from sodbench.runners.training.train import train

SHOWN = ("mae", "f_max", "f_adp", "s", "e_max", "wf")
TILE = (160, 120)


def scored(dataset: Dataset, maps: Path) -> dict[str, float]:
    evaluator = Evaluator()
    for pair in dataset.samples:
        assert pair.mask
        map_ = read_grey(maps / f"{pair.stem}.png").pixels
        evaluator.update(map_, read_grey(pair.mask).pixels, pair.stem)
    metrics = evaluator.compute().metrics
    return {name: round(metrics[name], 4) for name in SHOWN}


def sheet(dataset: Dataset, columns: list[Path], path: Path) -> None:
    """A row each of eight images: image, mask, and one map a method."""
    chosen = dataset.samples[:: max(1, len(dataset) // 8)][:8]
    canvas = Image.new("RGB", (TILE[0] * (2 + len(columns)), TILE[1] * len(chosen)), "white")
    for row, pair in enumerate(chosen):
        assert pair.image and pair.mask
        for column, file in enumerate(
            [pair.image, pair.mask, *(c / f"{pair.stem}.png" for c in columns)]
        ):
            tile = Image.open(file).convert("RGB")
            tile.thumbnail((TILE[0] - 4, TILE[1] - 4))
            canvas.paste(tile, (column * TILE[0] + 2, row * TILE[1] + 2))
    canvas.save(path)


def stop_if_interrupted(summary: TrainingSummary) -> None:
    if summary.weights is None:
        raise SystemExit(128 + (summary.signal or 0))


def epochs_within(minutes: float, training: Training) -> int:
    """Return how many epochs of a training fit into this time, judged by the second of two."""
    began = time.monotonic()
    trial = replace(
        training,
        out=training.out.parent / "trial",
        recipe=change_recipe(training.recipe, {"epochs": 2}),
        resume=False,
    )
    if trial.out.exists():
        delete_run(trial.out)
    stop_if_interrupted(train(trial))
    records = [r for r in read_log(trial.out) if r["epoch"] == 2]
    seconds = sum(r["images"] / r["images_per_second"] for r in records)
    shutil.rmtree(trial.out)
    left = 60 * minutes - (time.monotonic() - began)
    return max(1, int(left / seconds))


def train_and_score(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, predict and score; return what ``--json`` writes."""
    output, size, device = arguments.output, arguments.size, arguments.device
    rest, held = hold_out(find_dataset("SOD", arguments.data_root), 100)
    recipe = change_recipe(RECIPES["scratch"], {"epochs": arguments.epochs, "size": size})
    training = Training(rest, output / "training", recipe, device=device, save_every=0, resume=True)
    if (training.out / RECIPE).exists():
        recipe = load_recipe(str(training.out / RECIPE))
    elif arguments.minutes is not None:
        epochs = epochs_within(arguments.minutes, training)
        recipe = change_recipe(recipe, {"epochs": epochs})
    summary = train(replace(training, recipe=recipe))
    stop_if_interrupted(summary)

    images = [(s.stem, s.image) for s in held.samples if s.image]
    side = arguments.max_side or round(1.8 * size)
    numbers: dict[str, Any] = {}
    folders = []
    for name in ("csf-res2net50", *BASELINES):
        csf = name not in BASELINES
        folders.append(output / "maps" / name)
        predictor = load_predictor(name, summary.weights if csf else None, device=device)
        predict(predictor, images, folders[-1], max_side=side if csf else None)
        numbers[name] = scored(held, folders[-1])
    sheet(held, folders, output / "maps.png")

    losses = [record["loss"] for record in read_log(training.out) if "loss" in record]
    tenth = max(1, len(losses) // 10)
    run = json.loads((training.out / RUN).read_text())
    return {
        "machine": describe_machine(device=choose_device(device)),
        "trained_on": len(rest),
        "scored_on": len(held),
        "start": "no backbone file: drawn weights",
        "recipe": recipe.to_dict(),
        **{key: run[key] for key in ("precision", "batching", "memory_format")},
        "updates": len(losses),
        "images_per_second": round(summary.images / summary.seconds, 1)
        if summary.seconds
        else None,
        "loss_of_the_first_tenth": round(sum(losses[:tenth]) / tenth, 4),
        "loss_of_the_last_tenth": round(sum(losses[-tenth:]) / tenth, 4),
        "max_side": side,
        "scores": numbers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, default=40)
    length.add_argument("--minutes", type=float, help="train for about this long")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--max-side", type=int, help="default: 1.8 times the size")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print_and_store(train_and_score(arguments), arguments.json)


if __name__ == "__main__":
    main()
