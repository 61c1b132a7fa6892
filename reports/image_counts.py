"""How many images a dataset officially has, and what a report states where a result has another number."""

from collections.abc import Iterable, Mapping

from sodbench.datasets import DATASETS, known_name, official_names
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.results import Result

# With fewer images than this the intervals are too narrow, see describe_small_datasets.
MIN_IMAGES_FOR_WIDTH = 50


def _official_images(dataset: str) -> frozenset[str] | None:
    """The official names of the images of a dataset or subset; None where it has no official list."""
    base, _, subset = dataset.partition("/")
    known = known_name(base)
    if known is None or (subset and subset not in DATASETS[known].subsets):
        return None
    return official_names(f"{known}/{subset}" if subset else known) or None


def dataset_heading(dataset: str, numbers: Iterable[int], *, drawn: bool = False) -> str:
    """Return a dataset's name for headings, with the number of images where that is not the official one.

    Parameters
    ----------
    dataset : str
    numbers : iterable of int
        The numbers of images of the results on it.
    drawn : bool
        Whether these are the built-in sample's images, which are none of the dataset.

    Returns
    -------
    str
        For example ``ECSSD (160 of 1,000 images)``.
    """
    official = _official_images(dataset)
    scored = sorted(set(numbers))
    span = " to ".join(f"{n:,}" for n in dict.fromkeys((*scored[:1], *scored[-1:])))
    if drawn:
        return f"{dataset} ({span} drawn images)"
    if official is None or scored in ([], [len(official)]):
        return dataset
    return f"{dataset} ({span} of {len(official):,} images)"


def check_image_counts(results: Mapping[tuple[str, str], Result]) -> list[str]:
    """Check that each result has the official images of its dataset.

    Parameters
    ----------
    results : mapping of (str, str) to Result
        By (method, dataset).

    Returns
    -------
    list of str
        A line for each result that has not.
    """
    lines = []
    for (method, dataset), result in results.items():
        official = _official_images(dataset)
        # the built-in demo data borrows the datasets' names; the report states so at the top
        if official is None or result.provenance.get("sample"):
            continue
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
    """Return what a reader has to know about statistics of few images.

    Parameters
    ----------
    images : mapping of str to int
        By dataset, how many images its statistics are of.

    Returns
    -------
    list of str
        Nothing about datasets of at least 50 images.
    """
    without = {d: n for d, n in images.items() if n < MIN_IMAGES}
    narrow = {d: n for d, n in images.items() if MIN_IMAGES <= n < MIN_IMAGES_FOR_WIDTH}
    notes = []
    if without:
        notes.append(
            f"{_list_numbers(without)}: too few images (below {MIN_IMAGES}) for intervals, tests and ranks, so there are none."
        )
    if narrow:
        # measured by drawing images of SOD at random, 600 to 1,000 times: the share of intervals that contained max F of
        # the whole dataset
        notes.append(
            f"{_list_numbers(narrow)}: with fewer than {MIN_IMAGES_FOR_WIDTH} images the {CONFIDENCE_TEXT} intervals are too "
            "narrow. For max F they were measured to contain the true value in 84 to 87 % of cases with 10 images, 89 to "
            f"90 % with 18, and 90 to 93 % with {MIN_IMAGES_FOR_WIDTH}."
        )
    return notes


def _list_numbers(images: Mapping[str, int]) -> str:
    return ", ".join(f"{d} ({n} image{'s' * (n != 1)})" for d, n in images.items())
