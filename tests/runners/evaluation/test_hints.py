"""Hints on what is probably wrong with the maps, and ``--channel alpha``."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sodbench.cli import main
from sodbench.runners.evaluation.evaluate import evaluate

SIZE = (12, 20)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def mask(number: int = 0) -> np.ndarray:
    pixels = np.zeros(SIZE, np.uint8)
    pixels[2:8, number : number + 10] = 255
    return pixels


def cutout(alpha: np.ndarray, colour: tuple[int, int, int] = (200, 90, 30)) -> np.ndarray:
    rgb = np.broadcast_to(np.array(colour, np.uint8), (*alpha.shape, 3))
    return np.dstack([rgb, alpha])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for number in range(2):
        save(tmp_path / f"gt/{number}.png", mask(number))
        save(tmp_path / f"maps/{number}.png", mask(number))
    return tmp_path


def run(root: Path, *options: str) -> int:
    return main(["eval", str(root / "maps"), str(root / "gt"), *options])


def test_a_transposed_map_is_named_as_such(pairs, capsys):
    save(pairs / "maps/0.png", np.ascontiguousarray(mask().T))
    assert run(pairs) == 1
    assert "its sides are swapped: was the map turned" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(12, 12), (6, 10), (3, 5), (100, 167)])
def test_a_square_or_a_scaled_map_has_no_hint(size, pairs, capsys):
    save(pairs / "maps/0.png", np.asarray(Image.fromarray(mask()).resize(size[::-1])))
    assert run(pairs) == 1
    message = capsys.readouterr().err
    assert "resized to its mask's" in message and "aspect ratio" not in message


@pytest.mark.parametrize("resize", ["bilinear", "error"])
def test_a_map_of_another_aspect_ratio_is_named_as_such(resize, pairs, capsys):
    save(pairs / "maps/0.png", mask()[:9])
    assert run(pairs, "--resize", resize) == (1 if resize == "bilinear" else 2)
    assert "another aspect ratio: was the map cropped or padded" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["png", "webp"])
@pytest.mark.parametrize("colour", [(200, 90, 30), (0, 0, 0)])
def test_a_cutout_is_named_as_such(ending, colour, pairs, capsys):
    (pairs / "maps/0.png").unlink()
    image = Image.fromarray(cutout(mask(), colour))
    image.save(pairs / f"maps/0.{ending}", lossless=True, exact=True)
    assert run(pairs) == 0
    capsys.readouterr()
    out = json_problems(pairs, capsys)
    hint = next(p["detail"] for p in out if p["kind"] == "converted")
    assert "alpha varies; is the mask in alpha? --channel alpha" in hint


def json_problems(root: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    run(root, "--format", "json")
    return json.loads(capsys.readouterr().out)["problems"]


def test_an_opaque_colour_map_has_no_hint(pairs, capsys):
    save(pairs / "maps/0.png", cutout(np.full(SIZE, 255, np.uint8)))
    assert not any("alpha varies" in p["detail"] for p in json_problems(pairs, capsys))


def test_the_alpha_channel_is_scored_on_request(pairs, capsys):
    for number in range(2):
        save(pairs / f"maps/{number}.png", cutout(mask(number)))
    grey = evaluate(pairs / "maps", pairs / "gt")
    assert grey.metrics["mae"] > 0.1
    assert run(pairs, "--channel", "alpha", "--format", "json", "-o", str(pairs / "out")) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["results"][0]["metrics"]["mae"] == 0
    assert content["results"][0]["signature"].endswith("|channel:alpha")
    assert not content["problems"]
    assert evaluate(pairs / "maps", pairs / "gt", channel="alpha").metrics["mae"] == 0


def test_stored_counts_of_another_channel_are_not_reused(pairs, capsys):
    for number in range(2):
        save(pairs / f"maps/{number}.png", cutout(mask(number)))
    out = pairs / "out"
    values = []
    for channel in ("grey", "alpha", "alpha", "grey"):
        run(pairs, "--channel", channel, "--format", "json", "-o", str(out))
        streams = capsys.readouterr()
        values.append(json.loads(streams.out)["results"][0]["metrics"]["mae"])
    assert values[0] == values[3] > 0.1 and values[1] == values[2] == 0
    result = json.loads((next(out.rglob("result.json"))).read_text())
    assert "--channel alpha" not in result["provenance"]["scored_by"]
    assert main(["verify", str(out)]) == 0


def test_a_map_without_alpha_is_refused(pairs, capsys):
    assert run(pairs, "--channel", "alpha") == 2
    assert (
        "0.png: has no alpha channel (L), which --channel alpha scores" in capsys.readouterr().err
    )


def test_a_damaged_cutout_is_refused(pairs, capsys):
    for number in range(2):
        save(pairs / f"maps/{number}.png", cutout(mask(number)))
    data = (pairs / "maps/0.png").read_bytes()
    (pairs / "maps/0.png").write_bytes(data[: len(data) // 2])
    assert run(pairs, "--channel", "alpha") == 2
    assert "this PNG is" in capsys.readouterr().err


def test_a_list_with_backslashes(pairs, capsys):
    (pairs / "pairs.lst").write_bytes(
        "\ufeffmaps\\0.png gt\\0.png\r\nmaps\\1.png gt\\1.png\r\n".encode()
    )
    assert main(["eval", "--pairs", str(pairs / "pairs.lst")]) == 0
    (pairs / "items.txt").write_bytes(b"C:\\data\\gt\\1.png\r\n")
    capsys.readouterr()
    assert run(pairs, "--items", str(pairs / "items.txt"), "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["n"] == 1
    (pairs / "pairs.lst").write_text("maps\\0.png other\\0.png\n")
    assert main(["eval", "--pairs", str(pairs / "pairs.lst")]) == 2
    assert "was written on Windows" in capsys.readouterr().err


def test_half_empty_masks_lead_to_the_camouflaged_part(tmp_path, capsys):
    for number in range(12):
        kind = "CAM" if number % 2 else "NonCAM"
        empty = np.zeros(SIZE, np.uint8)
        save(tmp_path / f"COD10K/GT/COD10K-{kind}-{number}.png", mask() if number % 2 else empty)
        save(tmp_path / f"maps/COD10K-{kind}-{number}.png", mask())
    assert main(["eval", str(tmp_path / "maps"), str(tmp_path / "COD10K")]) == 0
    message = capsys.readouterr().err
    assert f"COD10K/cam: give {tmp_path}/COD10K/cam as GT" in message
    command = ["eval", str(tmp_path / "maps"), str(tmp_path / "COD10K/cam"), "--format", "json"]
    assert main(command) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["n"], result["metrics"]["mae"]) == (6, 0)
    assert "subset:cam" in result["signature"]
