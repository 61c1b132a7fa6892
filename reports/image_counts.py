"""How many images a dataset officially has, and what a report says where a result has another number."""

from collections.abc import Iterable, Mapping

from sodbench.datasets import DATASETS, known_name, official_names
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.results import Result

MIN_IMAGES_FOR_WIDTH = 50
"""With fewer images than this 95 % intervals are too narrow, see :func:`describe_small_datasets`."""


def official_images(dataset: str) -> frozenset[str] | None:
    """The official names of a dataset's images; None where the dataset or its subset has no official list."""
    base, _, subset = dataset.partition("/")
    known = known_name(base)
    if known is None or (subset and subset not in DATASETS[known].subsets):
        return None
    return official_names(f"{known}/{subset}" if subset else known)


def dataset_heading(dataset: str, numbers: Iterable[int]) -> str:
    """A dataset's name for headings: with the number of images where it is not the official one.

    numbers: of images of the results on it.
    """
    official = official_images(dataset)
    found = sorted(set(numbers))
    if official is None or found in ([], [len(official)]):
        return dataset
    shown = " to ".join(f"{n:,}" for n in dict.fromkeys((found[0], found[-1])))
    return f"{dataset} ({shown} of {len(official):,} images)"


def check_image_counts(results: Mapping[tuple[str, str], Result]) -> list[str]:
    """A line for each result whose images are not the official ones of its dataset."""
    lines = []
    for (method, dataset), result in results.items():
        official = official_images(dataset)
        if official is None or result.provenance.get("sample"):
            continue  # the built-in sample borrows the datasets' names; the report states so at the top
        foreign = len(result.table.index.difference(list(official)))
        if result.n != len(official):
            lines.append(
                f"{method} on {dataset}: images: {result.n:,} of {len(official):,} images were scored"
                + (f", {foreign:,} of them not official ones of {dataset}" if foreign else "")
            )
        elif foreign:
            lines.append(
                f"{method} on {dataset}: images: {foreign:,} of {result.n:,} names are not official names of {dataset}"
            )
    return lines


def describe_small_datasets(images: Mapping[str, int]) -> list[str]:
    """What a reader has to know about statistics of few images; nothing about datasets of :data:`MIN_IMAGES_FOR_WIDTH` images or more.

    images: for each dataset, how many images its statistics are of.  The numbers were measured for max F by drawing
    images of SOD at random, 600 to 1,000 times: the share of 95 % intervals that contained the value of the whole dataset.
    """
    none = {d: n for d, n in images.items() if n < MIN_IMAGES}
    narrow = {d: n for d, n in images.items() if MIN_IMAGES <= n < MIN_IMAGES_FOR_WIDTH}
    notes = []
    if none:
        notes.append(
            f"{_numbered(none)}: too few images (below {MIN_IMAGES}) for intervals, tests and ranks, so there are none."
        )
    if narrow:
        notes.append(
            f"{_numbered(narrow)}: with fewer than {MIN_IMAGES_FOR_WIDTH} images the 95 % intervals are too narrow. For max F they were "
            "measured to contain the true value in 84 to 87 % of cases with 10 images, 89 to 90 % with 18, and 90 to 93 % "
            f"with {MIN_IMAGES_FOR_WIDTH}."
        )
    return notes


def _numbered(images: Mapping[str, int]) -> str:
    return ", ".join(f"{d} ({n} image{'s' * (n != 1)})" for d, n in images.items())
