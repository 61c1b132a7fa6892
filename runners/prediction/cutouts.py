"""Images without their background: RGBA, with the saliency map as alpha."""

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.files import atomic_write
from sodbench.images import read_grey, read_rgb
from sodbench.parallel import thread_pool
from sodbench.runners.prediction.folder import ImageList, check_not_images_folder

_CUTOUT_COMMENT = "sodbench: cut-out"


def check_cutout_folder(
    output: Path, images: ImageList, maps: Path, *, force: bool = False
) -> None:
    """Check that cut-outs may be written to a folder.

    Parameters
    ----------
    output : Path
        The folder for the cut-outs.
    images : sequence of (str, Path)
        Stem and path of each image.
    maps : Path
        The folder of the maps.
    force : bool, default False
        Replace files of these names, whatever wrote them.

    Raises
    ------
    SodbenchError
        If it is the folder of the images or maps, or holds other files of these names.
    """
    check_not_images_folder(output, images)
    if output.resolve() == maps.resolve():
        raise SodbenchError(f"--cutout {output}: this is the maps' folder; choose another")
    for stem, _ in () if force else images:
        path = output / f"{stem}.png"
        if path.exists() and not _is_cutout(path):
            raise SodbenchError(
                f"{path}: not a cut-out of sodbench; choose another folder, or replace it with --force"
            )


def _is_cutout(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("Comment") == _CUTOUT_COMMENT
    except (OSError, ValueError, SyntaxError):
        return False


def write_cutouts(output: Path, images: ImageList, maps: Path) -> list[Problem]:
    """Write ``output/<stem>.png``, RGBA, for every image that has a map.

    Parameters
    ----------
    output : Path
        A folder that `check_cutout_folder` has checked.
    images : sequence of (str, Path)
        Stem and path of each image.
    maps : Path
        The folder of the maps.

    Returns
    -------
    list of Problem
        The images whose cut-out cannot be written.
    """
    output.mkdir(parents=True, exist_ok=True)

    def write(image: tuple[str, Path]) -> Problem | None:
        stem, path = image
        saliency = maps / f"{stem}.png"
        if not saliency.is_file():
            # reported by the prediction
            return None
        try:
            alpha = read_grey(saliency).pixels
            _write_rgba(output / f"{stem}.png", np.dstack((read_rgb(path), alpha)))
        except ImageError as error:
            return error.problem
        except (SodbenchError, ValueError) as error:
            return Problem(ProblemKind.UNWRITABLE, stem, str(error))
        return None

    with thread_pool(items=len(images)) as threads:
        return [problem for problem in threads.map(write, images) if problem]


def _write_rgba(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", _CUTOUT_COMMENT)
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG", pnginfo=comment)
