"""``sodbench models``: which models and presets there are."""

import argparse
from dataclasses import asdict
from typing import Any

from sodbench.cli.options import add_format


def add_parser(commands: Any) -> None:
    """Add ``models`` to the command line."""
    parser = commands.add_parser(
        "models",
        help="list models and presets",
        description="List the models that --model takes by name, those of plug-ins last, with their presets, where trained weights are, under "
        "which licence, and what was reproduced with them (docs/reproductions.md); and the presets with the programs that they "
        "repeat. Any network in a Python or ONNX file is a model, too.",
        epilog="example:\n  sodbench models --format json",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the models and the presets."""
    from sodbench.console import show
    from sodbench.models.known import KNOWN_MODELS, KnownModel
    from sodbench.models.presets import PRESETS
    from sodbench.models.registry import other_model_names
    from sodbench.quoting import json_text
    from sodbench.reports.text import format_table

    others = (KnownModel(name, preset="", weights="", licence="") for name in other_model_names())
    models = [asdict(model) for model in (*KNOWN_MODELS, *others)]
    presets = [{"preset": name, "repeats": preset.source} for name, preset in PRESETS.items()]
    if arguments.format == "json":
        processing = {name: preset.processing.to_dict() for name, preset in PRESETS.items()}
        rows_with_processing = [{**row, **processing[row["preset"]]} for row in presets]
        show(json_text({"models": models, "presets": rows_with_processing}))
        return 0
    for rows in (models, presets):
        header = list(rows[0])
        cells = [[row[key] or "-" for key in header] for row in rows]
        markdown = arguments.format == "markdown"
        show(format_table(header, cells, align="l" * len(header), markdown=markdown) + "\n")
    return 0
