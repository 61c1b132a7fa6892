"""The layouts that data sets have on people's disks, recognised by the names of folders and files."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets.registry import DATASETS, TRAIN_SET, DatasetInfo, match_keys, normalise_name
from sodbench.errors import SodbenchError
from sodbench.files import list_folders, list_names, list_paths
from sodbench.images import IMAGE_EXTENSIONS

IMAGE_FOLDERS = frozenset({"imgs", "img", "images", "image", "im", "rgb", "jpegimages"})
MASK_FOLDERS = frozenset(
    {"gt", "gts", "mask", "masks", "groundtruth", "groundtruths", "groundtruthmask",
     "groundtruthmasks", "pixelwisegt", "pixelwisegtnewpng", "gtobject", "annotation", "annotations"}
)  # fmt: skip
OTHER_FOLDERS = frozenset(
    {"depth", "depths", "edge", "edges", "gtedge", "gtedges", "gtinstance", "instance", "contour",
     "contours", "boundary", "thermal"}
)  # fmt: skip
"""Folders of a dataset that hold pictures, but neither its images nor its masks."""
JPEG = frozenset({".jpg", ".jpeg"})
PAIR_LIST, IMAGE_LIST = "train_pair.lst", "test.lst"

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
"""The layouts that are read, in words; folder names are compared without case and punctuation."""

_ENDINGS = tuple(IMAGE_EXTENSIONS)


def list_images(folder: Path | str) -> tuple[Path, ...]:
    """The picture files directly in a folder, sorted; stray files (``._x``, Thumbs.db) are ignored.

    Raises :class:`SodbenchError` where the folder does not exist or cannot be read.
    """
    return tuple(path for path in list_paths(Path(folder)) if _is_picture_name(path.name))


def _is_picture_name(name: str) -> bool:
    return name.lower().endswith(_ENDINGS) and not name.startswith(".")


def has_images(folder: Path) -> bool:
    """Whether pictures lie directly in a folder."""
    return any(map(_is_picture_name, list_names(folder)))


@dataclass(frozen=True)
class DetectedLayout:
    """A layout recognised in ``base``: where the images and where the masks are."""

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
    """The layout of one folder, or None.

    strict: only sub-folders that carry the set's name count (``DUTS-TE-Image``), because the folder
    itself is shared by several sets.
    """
    is_training = info is None or info.name == TRAIN_SET
    if is_training and not strict and (base / PAIR_LIST).is_file():
        return DetectedLayout(base, None, None, base / PAIR_LIST)
    own_keys = (
        match_keys(info) if info else () if strict else (normalise_name(base.absolute().name),)
    )
    images = _folders_of_kind(base, IMAGE_FOLDERS, own_keys, strict)
    masks = _folders_of_kind(base, MASK_FOLDERS, own_keys, strict)
    if masks and not images:  # <set> + <set>_mask
        same_name = (f for f in list_folders(base) if normalise_name(f.name) in own_keys)
        images = [folder for folder in same_name if has_images(folder)]
    if not strict and not images and not masks:
        inner = base / "datasets" if (base / "datasets").is_dir() else base
        images = _if_pictures(inner / "imgs" / "pascal")
        masks = _if_pictures(inner / "masks" / "pascal")
    for kind, folders in (("image", images), ("mask", masks)):
        if len(folders) > 1:
            raise SodbenchError(
                f"{base}: several {kind} folders ({', '.join(f.name for f in folders)}); name the "
                f"right one in a TOML file ({TOML_EXAMPLE}) given in place of the dataset's name"
            )
    if images or masks:
        image_folder = images[0] if images else None
        mask_folder = masks[0] if masks else image_folder
        if mask_folder is image_folder and not has_images_and_masks(image_folder):
            mask_folder = None
        return DetectedLayout(base, image_folder, mask_folder)
    if not strict and base.is_dir() and has_images(base) and has_images_and_masks(base):
        return DetectedLayout(base, base, base)
    return None


def describe_layouts() -> tuple[str, ...]:
    """The layouts that are read, and the way out for others, as indented lines."""
    return (
        "  layouts that are read:",
        *(f"    {layout}" for layout in LAYOUTS),
        f"  another layout or name: describe the dataset in a TOML file ({TOML_EXAMPLE}) and give that file",
    )


TOML_EXAMPLE = 'name = "...", images = "folder", masks = "folder"'


def _folders_of_kind(
    base: Path, kind: frozenset[str], own_keys: Collection[str], strict: bool
) -> list[Path]:
    found = []
    for folder in list_folders(base):
        key = normalise_name(folder.name)
        named = any(key.startswith(own) and key[len(own) :] in kind for own in own_keys)
        if named or (not strict and key in kind):
            # unpacking twice over gives images/images/
            repeated = [
                inner for inner in list_folders(folder) if normalise_name(inner.name) == key
            ]
            found += [place for place in (folder, *repeated) if has_images(place)]
    return found


def sibling_sets(base: Path) -> list[tuple[str, DetectedLayout]]:
    """Datasets whose folders are next to each other: ``<set>`` or ``<set>_image``, and ``<set>_mask``; with their names.

    Datasets without images are not among them.
    """
    folders = {normalise_name(folder.name): folder for folder in list_folders(base)}
    found = []
    for folder in folders.values():
        name = without_kind(folder.name, MASK_FOLDERS)
        if name == folder.name or not has_images(folder):
            continue
        image_keys = [normalise_name(name) + kind for kind in ("", *sorted(IMAGE_FOLDERS))]
        images = [folders[k] for k in image_keys if k in folders and has_images(folders[k])]
        if len(images) == 1:
            found.append((name, DetectedLayout(base, images[0], folder)))
    return found


def without_kind(name: str, kinds: Collection[str]) -> str:
    """A folder's name without an ending such as ``_mask`` or ``-Image``; as it is if it has none."""
    for at in range(1, len(name)):
        if name[at] in "_- ." and normalise_name(name[at:]) in kinds:
            return name[:at]
    return name


def _if_pictures(folder: Path) -> list[Path]:
    return [folder] if folder.is_dir() and has_images(folder) else []


def has_images_and_masks(folder: Path | None) -> bool:
    """Whether images and masks lie side by side: some stem is there as JPEG and as another format."""
    if folder is None:
        return False
    jpegs: set[str] = set()
    others: set[str] = set()
    for name in filter(_is_picture_name, list_names(folder)):
        stem, _, ending = name.rpartition(".")
        (jpegs if f".{ending.lower()}" in JPEG else others).add(stem)
    return not jpegs.isdisjoint(others)


def infer_dataset_name(folder: Path | str) -> str:
    """The data set's name that a folder's path suggests.

    The last part that is no generic word such as ``GT`` or ``images``, as its canonical name where it
    is known: ``preds/DSS/pascals`` -> ``PASCAL-S``, ``DUTS-TE/DUTS-TE-Mask`` -> ``DUTS-TE``.
    """
    parts = [part for part in Path(folder).absolute().parts[1:][::-1] if part not in ("..", ".")]
    generic = IMAGE_FOLDERS | MASK_FOLDERS
    for part in parts[:3]:
        key = normalise_name(part)
        if known := _BY_PREFIX.get(key):
            return known
        if key not in generic and key not in ("datasets", "pascal"):
            return without_kind(part, generic)
    return parts[0] if parts else "data"


_BY_PREFIX = {
    key + kind: info.name
    for info in DATASETS.values()
    for key in match_keys(info)
    for kind in ("", *sorted(IMAGE_FOLDERS | MASK_FOLDERS))
}
