"""``sodbench train``: a network on DUTS-TR, or on your own pairs, by a recipe."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.network_options import add_device, add_model_choices, read_model
from sodbench.cli.options import add_data_root, add_exit_zero, add_jobs, add_output
from sodbench.cli.parser import add_message_options
from sodbench.cli.values import filled, not_negative, path, positive, refuse_without_effect

if TYPE_CHECKING:
    from sodbench.datasets import Dataset


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add ``train`` to the command line."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network. The recipe 'reference' (the default) repeats the CSF authors' training "
        "step for step; images of an update run together where that does not change it. When interrupted (Ctrl-C, "
        "SIGTERM) it saves its state; --resume continues to the same weights. Under torchrun the processes share each "
        "update.",
        epilog="examples:\n"
        "  sodbench train --backbone res2net50_v1b_26w_4s-3cf99910.pth -o runs/csf\n"
        "  sodbench train --train pairs/ --recipe scratch --hold-out 50 -o runs/mine",
    )
    add_output(parser, "RUN", "output folder (required unless --print-recipe)")
    _add_training_data_options(parser.add_argument_group("data"))
    _add_network(add_model_choices(parser))
    _add_recipe(parser.add_argument_group("recipe"))
    _add_saving(parser.add_argument_group("saving"))
    add_exit_zero(parser)
    parser.set_defaults(
        run=run, resumed="--resume continues from the last saved state, if there is one"
    )


def _add_training_data_options(data: argparse._ArgumentGroup) -> None:
    add_data_root(data)
    data.add_argument(
        "--train",
        type=filled,
        default="DUTS-TR",
        metavar="SET",
        help="a known dataset, a folder with images and masks, or a list such as train_pair.lst (default: %(default)s)",
    )
    data.add_argument(
        "--validate",
        type=filled,
        metavar="SET",
        help="score this dataset after every epoch, and keep the best weights (best.pth)",
    )
    data.add_argument(
        "--hold-out",
        type=positive,
        metavar="N",
        help="validate on N of the training images instead, evenly spread over their names",
    )
    data.add_argument(
        "--monitor",
        type=filled,
        metavar="METRIC",
        help="metric that decides which epoch is best (default: f_max)",
    )
    data.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out pairs that are missing or unreadable, instead of stopping (exit status 1)",
    )


def _add_network(network: argparse._ArgumentGroup) -> None:
    network.add_argument(
        "--backbone", type=path, metavar="FILE", help="ImageNet weights of the network's backbone"
    )
    network.add_argument(
        "--random-start",
        action="store_true",
        help="train from random weights even if the recipe freezes batch normalisation",
    )
    add_device(network)


def _add_recipe(recipe: argparse._ArgumentGroup) -> None:
    recipe.add_argument(
        "--recipe",
        type=filled,
        default="reference",
        metavar="NAME",
        help="reference, scratch, sample, or a .toml file (default: %(default)s)",
    )
    recipe.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change one value of the recipe; may be repeated",
    )
    recipe.add_argument(
        "--print-recipe", action="store_true", help="print the recipe as TOML and stop"
    )


def _add_saving(state: argparse._ArgumentGroup) -> None:
    state.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in RUN (or start it, if there is none); 'train -o RUN --resume' repeats the options "
        "with which it was started",
    )
    state.add_argument(
        "--save-every",
        type=not_negative,
        default=200,
        metavar="N",
        help="save the state every N updates and after each epoch; 0: only when interrupted "
        "(default: %(default)s)",
    )
    state.add_argument(
        "--keep",
        type=positive,
        default=2,
        metavar="K",
        help="number of saved states to keep (default: %(default)s)",
    )
    add_jobs(state, "threads that decode images")


def run(arguments: argparse.Namespace) -> int:
    """Train; returns 0, or 128 + the signal that stopped it.

    It returns 1 where --skip-invalid left pairs out or the network is likely to be wrong.
    """
    from sodbench.console import logger, show
    from sodbench.quoting import printable
    from sodbench.runners.training.recipe import load_recipe

    arguments = _as_started(arguments)
    recipe = load_recipe(arguments.recipe, arguments.changes)
    if arguments.print_recipe:
        show(recipe.to_toml().rstrip("\n"))
        return 0

    _check_training_options(arguments)
    from sodbench.runners.training.options import Training
    from sodbench.runners.training.train import train

    dataset, validation = _find_data(arguments)
    summary = train(
        Training(
            dataset=dataset,
            out=arguments.output,
            recipe=recipe,
            model=read_model(arguments),
            backbone=arguments.backbone,
            device=arguments.device,
            validation=validation,
            monitor=arguments.monitor or "f_max",
            save_every=arguments.save_every,
            keep=arguments.keep,
            resume=arguments.resume,
            skip_invalid=arguments.skip_invalid,
            workers=arguments.jobs,
            random_start=arguments.random_start,
            command=tuple(arguments.words),
        )
    )
    if summary.signal is not None:
        return 128 + summary.signal
    left_out = 1 if (arguments.skip_invalid and summary.left_out) or summary.problems else 0
    # the first of torchrun's processes reports for all
    if os.environ.get("RANK", "0") != "0":
        return left_out
    if summary.seconds:
        rate = summary.images / summary.seconds
        logger.info(f"{summary.updates} updates in {summary.seconds:.0f} s ({rate:.1f} images/s)")
    if summary.best:
        logger.info(
            f"best: epoch {summary.best[0]}, {summary.best_by} {summary.best[1]:.4f} (best.pth)"
        )
    show(printable(summary.weights))
    return left_out


def _as_started(arguments: argparse.Namespace) -> argparse.Namespace:
    """The options of the command that started the run, if nothing but -o RUN and --resume is given; else those given."""
    if not arguments.resume or arguments.output is None or not _names_only_the_run(arguments.words):
        return arguments
    from sodbench.cli import parse
    from sodbench.console import logger
    from sodbench.runners.training.run_folder import read_command

    words, directory = read_command(arguments.output)
    if not words:
        return arguments
    started = argparse.Namespace()
    parse(words, started)
    started.output, started.resume = arguments.output, True
    where = "" if directory == Path.cwd() else f", as in {directory}"
    logger.info(f"options: {shlex.join(words)}{where}")
    return started


def _names_only_the_run(words: Sequence[str]) -> bool:
    parser = argparse.ArgumentParser(add_help=False)
    add_output(parser, "RUN", "")
    parser.add_argument("--resume", action="store_true")
    add_message_options(parser, default=None)
    _, others = parser.parse_known_args(words)
    return others == ["train"]


def _check_training_options(arguments: argparse.Namespace) -> None:
    from sodbench.errors import SodbenchError

    if arguments.output is None:
        raise SodbenchError("missing -o RUN, the output folder")
    if arguments.validate and arguments.hold_out:
        raise SodbenchError("give --validate or --hold-out, not both")
    if not (arguments.validate or arguments.hold_out):
        refuse_without_effect(arguments, ("monitor",), "without --validate or --hold-out")


def _find_data(arguments: argparse.Namespace) -> "tuple[Dataset, Dataset | None]":
    """The datasets for training and for validation."""
    from sodbench.datasets import dataset_from_list, find_dataset

    if arguments.train.endswith((".lst", ".txt")):
        dataset = dataset_from_list(arguments.train)
    else:
        dataset = find_dataset(arguments.train, arguments.data_root)
    if arguments.validate:
        return dataset, find_dataset(arguments.validate, arguments.data_root)
    if arguments.hold_out:
        return hold_out(dataset, arguments.hold_out)
    return dataset, None


def hold_out(dataset: "Dataset", count: int) -> "tuple[Dataset, Dataset]":
    """A dataset in two parts: the rest, and ``count`` pairs evenly spread over its names.

    Parameters
    ----------
    dataset : Dataset
        The training set.
    count : int
        Number of pairs to hold out.

    Returns
    -------
    tuple of two Dataset
        For training and for validation.

    Raises
    ------
    SodbenchError
        If there are not that many pairs.
    """
    from sodbench.errors import SodbenchError

    stems = [sample.stem for sample in dataset.samples]
    if not 0 < count < len(stems):
        raise SodbenchError(f"--hold-out {count}: there are {len(stems)} training images")
    held = {stems[i * len(stems) // count] for i in range(count)}
    rest = [stem for stem in stems if stem not in held]
    return dataset.select(rest, "rest"), dataset.select(held, f"hold-out{count}")
