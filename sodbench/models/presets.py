"""Processing of the families of networks that people use, and processing read from TOML files and options."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.errors import SodbenchError
from sodbench.models.declarations import (
    InputSize,
    declares_processing,
    get_input_size,
    get_output,
)
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.toml import parse_assignment, read_toml

if TYPE_CHECKING:
    from torch import nn


def _square(side: int) -> InputSize:
    return InputSize(fixed=(side, side))


_U2NET_OUTPUT = Output(
    select=0, channel=0, steps=("min-max", "truncate", "resize"), resampling="pillow-bilinear"
)
_REMBG_OUTPUT = replace(_U2NET_OUTPUT, resampling="pillow-lanczos")


@dataclass(frozen=True)
class Preset:
    """The processing of a family of networks, and where it is from.

    Attributes
    ----------
    processing : Processing
    source : str
        The program that it repeats.
    """

    processing: Processing
    source: str


PRESETS = {
    "csf": Preset(Processing(), "SOD100K, CSF+Res2Net, main.py and solver.py"),
    "csnet": Preset(
        Processing(
            Preprocessing(_square(224), "scikit-image-bilinear"),
            Output(steps=("sigmoid", "resize", "truncate"), resampling="scikit-image-bilinear"),
        ),
        "SOD100K, CSNet, test.py",
    ),
    "u2net": Preset(
        Processing(
            Preprocessing(_square(320), "scikit-image-bilinear-constant", "maximum"), _U2NET_OUTPUT
        ),
        "xuebinqin/U-2-Net, u2net_test.py and data_loader.py, with scikit-image's resize as it was: without "
        "antialiasing",
    ),
    "basnet": Preset(
        Processing(
            Preprocessing(_square(256), "scikit-image-bilinear-constant", "maximum"), _U2NET_OUTPUT
        ),
        "xuebinqin/BASNet, basnet_test.py",
    ),
    "isnet": Preset(
        Processing(
            Preprocessing(
                _square(1024), "torch-bilinear-truncated", mean=(0.5, 0.5, 0.5), deviation=(1, 1, 1)
            ),
            Output(select=0, channel=0, steps=("resize", "min-max", "truncate")),
        ),
        "xuebinqin/DIS, IS-Net/Inference.py",
    ),
    "birefnet": Preset(
        Processing(
            Preprocessing(_square(1024), "pillow-bilinear"),
            Output(select=-1, steps=("sigmoid", "truncate", "resize"), resampling="pillow-bicubic"),
        ),
        "ZhengPeng7/BiRefNet, README (from_pretrained)",
    ),
    "edn": Preset(
        Processing(
            Preprocessing(_square(384), "opencv-bilinear"),
            Output(channel=0, steps=("resize", "truncate")),
        ),
        "yuhuan-wu/EDN, scripts/test.py",
    ),
    "samnet": Preset(
        Processing(
            Preprocessing(_square(336), "torch-bilinear"),
            Output(channel=0, steps=("resize", "truncate")),
        ),
        "yun-liu/FastSaliency (SAMNet and HVPNet), test.py; OpenCV resizes floats there, as torch does",
    ),
    "cpd": Preset(
        Processing(
            Preprocessing(_square(352), "pillow-bilinear"),
            Output(select=1, steps=("resize", "sigmoid", "min-max", "round")),
        ),
        "wuzhe71/CPD, test_CPD.py and data.py",
    ),
    "rembg-u2net": Preset(
        Processing(Preprocessing(_square(320), "pillow-lanczos", "maximum"), _REMBG_OUTPUT),
        "danielgatis/rembg, sessions/base.py and u2net.py, also of u2netp and silueta",
    ),
    "rembg-isnet": Preset(
        Processing(
            Preprocessing(
                _square(1024),
                "pillow-lanczos",
                "maximum",
                mean=(0.5, 0.5, 0.5),
                deviation=(1, 1, 1),
            ),
            _REMBG_OUTPUT,
        ),
        "danielgatis/rembg, sessions/dis_general_use.py",
    ),
    "rembg-birefnet": Preset(
        Processing(
            Preprocessing(_square(1024), "pillow-lanczos", "maximum"),
            replace(_REMBG_OUTPUT, steps=("sigmoid", "min-max", "truncate", "resize")),
        ),
        "danielgatis/rembg, sessions/birefnet_general.py",
    ),
}


# Presets of published files, by their SHA-256.
KNOWN_FILES = {
    # u2netp.onnx, 4,574,861 bytes
    "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8": "u2net",
}


def find_preset(name: str) -> Processing:
    """Return the processing of a preset.

    Parameters
    ----------
    name : str
        A key of `PRESETS`.

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        For another name.
    """
    if name not in PRESETS:
        raise SodbenchError(f"unknown preset {name!r}; one of {', '.join(PRESETS)}")
    return replace(PRESETS[name].processing, preset=name)


_SIZE_KEYS = tuple(f.name for f in fields(InputSize))
_INPUT_KEYS = tuple(f.name for f in fields(Preprocessing) if f.name != "size")
_OUTPUT_KEYS = tuple(f.name for f in fields(Output))


def change_processing(processing: Processing, tables: Mapping[str, Any], place: str) -> Processing:
    """Return a processing with some values changed.

    Parameters
    ----------
    processing : Processing
    tables : mapping
        Tables ``input`` and ``output`` of values by name. A value that defines the size replaces all that do.
    place : str
        Where they were written, for messages.

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        For an unknown name or a wrong value.
    """
    known = {"input": (*_SIZE_KEYS, *_INPUT_KEYS), "output": _OUTPUT_KEYS}
    for table, values in tables.items():
        if table not in known:
            raise SodbenchError(
                f"{place}: unknown {table!r}; write [input] and [output], or preset"
            )
        if not isinstance(values, Mapping):
            raise SodbenchError(f"{place}: {table} is a table: [{table}], or {table}.KEY=VALUE")
        if unknown := [key for key in values if key not in known[table]]:
            raise SodbenchError(
                f"{place}: unknown {table}.{unknown[0]}; one of {', '.join(known[table])}"
            )
    given, output = tables.get("input", {}), tables.get("output", {})
    size = {key: _as_tuple(given[key]) for key in _SIZE_KEYS if key in given}
    changes = {key: _as_tuple(given[key]) for key in _INPUT_KEYS if key in given}
    try:
        if size:
            changes["size"] = InputSize(**size)
        return replace(
            processing,
            input=replace(processing.input, **changes),
            output=replace(processing.output, **{k: _as_tuple(v) for k, v in output.items()}),
        )
    except SodbenchError as error:
        raise SodbenchError(f"{place}: {error}") from error


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def load_processing(path: Path | str) -> Processing:
    """Read a processing from a TOML file.

    Parameters
    ----------
    path : Path or str
        It may name a ``preset`` to begin with, and hold the tables ``[input]`` and ``[output]``.

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        If it cannot be read, is no TOML, or holds an unknown name or a wrong value.
    """
    return parse_processing(read_toml(Path(path)), str(path))


def parse_processing(tables: Mapping[str, Any], place: str) -> Processing:
    """Return the processing that the tables of a TOML file, or `Processing.to_dict`, describe.

    Parameters
    ----------
    tables : mapping
        ``preset``, ``input`` and ``output``, each optional.
    place : str
        Where they were written, for messages.

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        As `change_processing`.
    """
    rest = dict(tables)
    preset = rest.pop("preset", None)
    if preset is not None and not isinstance(preset, str):
        raise SodbenchError(f"{place}: preset {preset!r}: write a name")
    return change_processing(find_preset(preset) if preset else Processing(), rest, place)


def restore_processing(record: Any, place: str) -> Processing:
    """Return the processing that `Processing.to_dict` described.

    Parameters
    ----------
    record : object
        What JSON holds.
    place : str
        Where it was read, for messages.

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        If it is anything else.
    """
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise SodbenchError(f"{place}: holds a value of type {kind}, not a processing")
    preset = record.get("preset")
    tables = {table: values for table, values in record.items() if table != "preset"}
    return replace(change_processing(Processing(), tables, place), preset=preset)


def get_processing(model: "nn.Module") -> Processing:
    """Return what a network declares in ``processing``, or else in ``input_size`` and ``output``.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    Processing

    Raises
    ------
    SodbenchError
        For a declaration of another type.
    """
    if declares_processing(model):
        declared = model.processing
        if isinstance(declared, str):
            return find_preset(declared)
        if isinstance(declared, Processing):
            return declared
        raise SodbenchError(
            f"{type(model).__name__}.processing is {declared!r}; it must be a sodbench.models.Processing or the name of "
            "a preset"
        )
    return Processing(Preprocessing(get_input_size(model)), Output.for_values(get_output(model)))


def parse_changes(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the tables that ``KEY=VALUE`` options describe, such as ``input.fixed=[320,320]``.

    Parameters
    ----------
    texts : iterable of str
        Values in TOML, where a word needs no quotation marks.

    Returns
    -------
    dict

    Raises
    ------
    SodbenchError
        For a text without a table and a key.
    """
    tables: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, value = parse_assignment("--processing", text, "input.fixed=[320,320]")
        table, _, name = key.partition(".")
        if not name:
            raise SodbenchError(
                f"--processing {text}: write input.KEY=VALUE or output.KEY=VALUE, as in input.fixed=[320,320]"
            )
        tables.setdefault(table, {})[name] = value
    return tables


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Return the keyword arguments that ``KEY=VALUE`` options describe.

    Parameters
    ----------
    texts : iterable of str
        Values in TOML, where a word needs no quotation marks.

    Returns
    -------
    dict

    Raises
    ------
    SodbenchError
        For a text without a key.
    """
    return dict(parse_assignment("--model-arg", text, "width=32") for text in texts)
