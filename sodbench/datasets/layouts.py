"""Detect how a dataset is laid out on disk, from the names of folders and files; no image is opened here."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from sodbench.datasets.registry import TRAIN_SET, DatasetInfo, known_name, normalise_name
from sodbench.errors import SodbenchError
from sodbench.folders import list_folders, list_names, list_paths, name_stem
from sodbench.images import UNREAD_EXTENSIONS, is_image_name

IMAGE_FOLDERS = frozenset({"imgs", "img", "images", "image", "im", "rgb", "jpegimages"})
MASK_FOLDERS = frozenset(
    {"gt", "gts", "mask", "masks", "groundtruth", "groundtruths", "groundtruthmask",
     "groundtruthmasks", "pixelwisegt", "pixelwisegtnewpng", "gtobject", "annotation", "annotations"}
)  # fmt: skip
# folders of a dataset that hold neither its images nor its masks
OTHER_FOLDERS = frozenset(
    {"depth", "depths", "edge", "edges", "gtedge", "gtedges", "gtinstance", "instance", "contour",
     "contours", "boundary", "thermal"}
)  # fmt: skip
JPEG = frozenset({".jpg", ".jpeg"})
PAIR_LIST, IMAGE_LIST = "train_pair.lst", "test.lst"
# Below the folder of a dataset that is published with its training set: COD10K-v3/Test
_TEST_FOLDERS = frozenset({"test", "te", "testing", "testset"})
# Quoted by errors, so that a dataset.toml can be written without the docs
TOML_EXAMPLE = 'name = "...", images = "folder", masks = "folder"'

# The layouts that are read, in words; folder names are compared without case and punctuation.
LAYOUTS = (
    "<set>/Imgs/*.jpg with the masks next to them (Imgs/*.png) or in <set>/gt/ [+ test.lst]",
    "<set>/images + <set>/GT; Imgs + GT; imgs + gt; im + gt; image + mask; Image + GroundTruth; Img + GroundTruth",
    "<set>/RGB + <set>/GT (+ depth, which is ignored); Image + GT_Object; JPEGImages + Annotations",
    "<set>/<set>-Image + <set>/<set>-Mask, also below DUTS/; <set> + <set>_mask next to each other",
    "<set>/images + <set>/ground_truth_mask; <set>-image + pixelwiseGT-new-PNG",
    "PASCAL-S/datasets/imgs/pascal + PASCAL-S/datasets/masks/pascal",
    "<set>/train_pair.lst: 'image mask' a line, relative to its folder",
    "<set>/*.jpg + <set>/*.png side by side",
    "masks alone: <set>/*.png, <set>/GT/*.png or any of the above without images (enough to score maps)",
    "several sets in one folder: <set>/*.png directly in it or in GT/, others up to three deep (DIS5K/DIS-TE1/im + gt)",
)

_JPEG_ENDINGS = tuple(JPEG)
_UNREAD_ENDINGS = tuple(UNREAD_EXTENSIONS)


def list_images(folder: Path | str) -> tuple[Path, ...]:
    """List the image files directly in a folder, sorted by name.

    Stray files such as ``._x`` and ``Thumbs.db`` are ignored.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    paths = list_paths(Path(folder))
    if not paths:
        return ()
    # all are in one folder, so that their names begin at one place
    start = len(str(paths[0])) - len(paths[0].name)
    are_images = map(is_image_name, [str(path)[start:] for path in paths])
    return tuple(compress(paths, are_images))


def list_unread_images(folder: Path) -> tuple[Path, ...]:
    """List the files directly in a folder whose types of image are not read, sorted by name.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    names = [name for name in list_names(folder) if name.lower().endswith(_UNREAD_ENDINGS)]
    paths = [folder / name for name in sorted(names)]
    # a hidden file may have no other name than an ending
    return tuple(path for path in paths if path.suffix)


def has_images(folder: Path) -> bool:
    """Whether a folder directly holds image files.

    Raises
    ------
    SodbenchError
        If it cannot be read.
    """
    return any(map(is_image_name, list_names(folder)))


def has_images_and_masks(folder: Path) -> bool:
    """Whether images and masks are next to each other: some stem is there as JPEG and in another format.

    Returns
    -------
    bool
        False for a folder of images of one format.
    """
    names = list_names(folder)
    jpegs = [name for name in names if name.lower().endswith(_JPEG_ENDINGS)]
    if not jpegs or len(jpegs) == len(names):
        return False
    stems = {name_stem(name) for name in filter(is_image_name, jpegs)}
    others = filter(is_image_name, set(names).difference(jpegs))
    return not stems.isdisjoint(map(name_stem, others))


@dataclass(frozen=True)
class DetectedLayout:
    """Where the images and the masks of a dataset are.

    Attributes
    ----------
    base : Path
        The folder that was examined.
    images, masks : Path, optional
        The folders of images and masks; they may be the same.
    pair_list : Path, optional
        The list that names the pairs instead.
    """

    base: Path
    images: Path | None
    masks: Path | None
    pair_list: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether there are images and masks."""
        return self.pair_list is not None or bool(self.images and self.masks)


def detect_layout(
    base: Path, info: DatasetInfo | None, strict: bool = False
) -> DetectedLayout | None:
    """Detect the layout of one folder.

    Parameters
    ----------
    base : Path
        The folder.
    info : DatasetInfo, optional
        The known dataset that it may hold.
    strict : bool
        Several datasets share the folder, so only sub-folders with the dataset's name count
        (``DUTS-TE-Image``).

    Returns
    -------
    DetectedLayout or None
        None if there are neither images nor masks in a known layout.

    Raises
    ------
    SodbenchError
        If several folders could be meant.
    """
    # the list of the reference belongs to its training set
    is_training = info is None or info.name == TRAIN_SET
    if is_training and not strict and (base / PAIR_LIST).is_file():
        return DetectedLayout(base, None, None, base / PAIR_LIST)
    if info:
        own_keys = info.match_keys
    else:
        own_keys = () if strict else (normalise_name(base.absolute().name),)
    folders = list_folders(base)
    images = _folders_of_kind(folders, IMAGE_FOLDERS, own_keys, strict)
    masks = _folders_of_kind(folders, MASK_FOLDERS, own_keys, strict)
    # <set> + <set>_mask
    if masks and not images:
        same_name = (f for f in folders if normalise_name(f.name) in own_keys)
        images = [folder for folder in same_name if has_images(folder)]
    if not strict and not images and not masks:
        inner = base / "datasets" if (base / "datasets").is_dir() else base
        images = _if_images(inner / "imgs" / "pascal")
        masks = _if_images(inner / "masks" / "pascal")
    image_folder, mask_folder = _only(base, "image", images), _only(base, "mask", masks)
    if image_folder and not mask_folder and has_images_and_masks(image_folder):
        mask_folder = image_folder
    if image_folder or mask_folder:
        return DetectedLayout(base, image_folder, mask_folder)
    if not strict and base.is_dir() and has_images_and_masks(base):
        return DetectedLayout(base, base, base)
    return None


def _only(base: Path, kind: str, folders: list[Path]) -> Path | None:
    if len(folders) > 1:
        raise SodbenchError(
            f"{base}: several {kind} folders ({', '.join(f.name for f in folders)}); name the "
            f"right one in a TOML file ({TOML_EXAMPLE}) given in place of the dataset's name"
        )
    return folders[0] if folders else None


def _if_images(folder: Path) -> list[Path]:
    return [folder] if folder.is_dir() and has_images(folder) else []


def _folders_of_kind(
    candidates: Iterable[Path], kind: frozenset[str], own_keys: Collection[str], strict: bool
) -> list[Path]:
    folders = []
    for folder in candidates:
        key = normalise_name(folder.name)
        named = any(key.startswith(own) and key[len(own) :] in kind for own in own_keys)
        if named or (not strict and key in kind):
            # unpacking twice over gives images/images/
            repeated = [f for f in list_folders(folder) if normalise_name(f.name) == key]
            folders += [place for place in (folder, *repeated) if has_images(place)]
    return folders


def describe_layouts() -> tuple[str, ...]:
    """Return the layouts that are read, and the advice for others, as indented lines of an error message."""
    return (
        "  layouts that are read:",
        *(f"    {layout}" for layout in LAYOUTS),
        f"  another layout or name: describe the dataset in a TOML file ({TOML_EXAMPLE}) and give that file",
    )


def find_sibling_layouts(base: Path) -> list[tuple[str, DetectedLayout]]:
    """Find datasets whose folders are next to each other: ``<set>`` or ``<set>_image``, and ``<set>_mask``.

    Returns
    -------
    list of (str, DetectedLayout)
        The datasets' names and layouts; only those that have images.
    """
    folders = {normalise_name(folder.name): folder for folder in list_folders(base)}
    layouts = []
    for folder in folders.values():
        name = strip_kind(folder.name, MASK_FOLDERS)
        if name == folder.name or not has_images(folder):
            continue
        image_keys = [normalise_name(name) + kind for kind in ("", *sorted(IMAGE_FOLDERS))]
        images = [folders[k] for k in image_keys if k in folders and has_images(folders[k])]
        if len(images) == 1:
            layouts.append((name, DetectedLayout(base, images[0], folder)))
    return layouts


def strip_kind(name: str, kinds: Collection[str]) -> str:
    """Return a folder's name without an ending such as ``_mask`` or ``-Image``; unchanged if it has none.

    Parameters
    ----------
    name : str
    kinds : collection of str
        Normalised endings, such as `MASK_FOLDERS`.

    Returns
    -------
    str
    """
    for at in range(1, len(name)):
        if name[at] in "_- ." and normalise_name(name[at:]) in kinds:
            return name[:at]
    return name


def is_test_folder(folder: Path) -> bool:
    """Whether a folder holds the test part of the dataset that the folder above it is named after."""
    return normalise_name(folder.name) in _TEST_FOLDERS


def infer_dataset_name(folder: Path | str) -> str:
    """Infer a dataset's name from the path of a folder.

    Parameters
    ----------
    folder : Path or str
        A folder of images, masks or maps, or of a whole dataset.

    Returns
    -------
    str
        The last part of the path that is no generic word such as ``GT`` or ``images``, as its canonical name
        if that is known: ``PASCAL-S`` for ``preds/DSS/pascals``, ``DUTS-TE`` for ``DUTS-TE/DUTS-TE-Mask``.
    """
    parts = [part for part in Path(folder).absolute().parts[1:][::-1] if part not in ("..", ".")]
    generic = IMAGE_FOLDERS | MASK_FOLDERS
    for number, part in enumerate(parts[:3]):
        key = normalise_name(part)
        above = parts[number + 1] if number + 1 < len(parts) else ""
        if key in _TEST_FOLDERS and (known := known_name(above)):
            return known
        endings = (kind for kind in ("", *sorted(generic)) if key.endswith(kind))
        for ending in endings:
            if known := known_name(key[: len(key) - len(ending)]):
                return known
        if key not in generic and key not in ("datasets", "pascal"):
            return strip_kind(part, generic)
    return parts[0] if parts else "data"
