"""What was found out about the datasets on a disk: the results of ``data check`` and of ``data stats``."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets.attributes import CENTRAL, LARGE, SMALL
from sodbench.errors import Problem
from sodbench.quoting import count_noun, size_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DatasetReport:
    """The findings of ``data check`` for one dataset.

    Attributes
    ----------
    name, root, layout : str
        The dataset, its folder and its layout.
    expected : int, optional
        The official number of items.
    items, images, masks : int
        Number of samples with image and mask, of images, and of masks.
    sizes : int
        Number of different image sizes.
    smallest, largest : tuple of int, optional
        (height, width) of the images with the fewest and the most pixels.
    content : str
        SHA-256 over the names, the images' files and the masks' pixels; empty if a file could not be read.
    masks_content : str
        The same without the images: equal for two copies whose images are encoded differently.
    faults, remarks : tuple of Problem
        Things that change numbers or stop a run, and things to know.
    notes : tuple of str
        How the dataset was found, and which masks were converted.
    """

    name: str
    root: str
    layout: str
    expected: int | None
    items: int
    images: int
    masks: int
    sizes: int = 0
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    content: str = ""
    masks_content: str = ""
    faults: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size_range(self) -> str:
        """The image sizes in words, ``128x96 to 400x300, 7 sizes``; empty without images."""
        if self.smallest is None or self.largest is None:
            return ""
        small, large = map(size_text, (self.smallest, self.largest))
        return small if small == large else f"{small} to {large}, {self.sizes} sizes"

    @property
    def verdict(self) -> str:
        """One line: whether the dataset can be used as it is, and its content hash."""
        state = "ok"
        if self.faults:
            kinds = Counter(problem.kind for problem in self.faults)
            counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
            state = f"{count_noun(len(self.faults), 'fault')} ({counts})"
        if self.remarks:
            state += f", {count_noun(len(self.remarks), 'remark')}"
        official = "" if self.expected is None else f" of {self.expected}"
        parts = [f"{self.items}{official} items"]
        if self.size_range:
            parts.append(self.size_range)
        parts.append(f"content {self.content[:16]}" if self.content else "no content hash")
        return f"{self.name}: {state}; {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return vars(self) | {
            "verdict": self.verdict,
            "ok": not self.faults,
            "faults": [vars(problem) for problem in self.faults],
            "remarks": [vars(problem) for problem in self.remarks],
        }


@dataclass(frozen=True)
class DatasetStats:
    """The measurements of ``data stats`` for one dataset.

    Attributes
    ----------
    name : str
        The dataset.
    attributes : pandas.DataFrame
        One row an image; see `sodbench.datasets.measure_attributes`.
    centre_map : ndarray of float64, shape (64, 64)
        How often a place (in relative coordinates) is foreground, 0 to 1.
    """

    name: str
    attributes: "pd.DataFrame"
    centre_map: NDArray[np.float64]

    def summary(self) -> dict[str, float | int]:
        """Return the dataset in a dozen numbers; shares are of the images whose mask is not empty."""
        frame = self.attributes
        full = frame[frame["object_size"] > 0]
        return {
            "images": len(frame),
            "empty masks": len(frame) - len(full),
            "image sizes": len(frame[["height", "width"]].drop_duplicates()),
            "median height": float(frame["height"].median()),
            "median width": float(frame["width"].median()),
            "mean object size": float(full["object_size"].mean()),
            "small objects": float((full["object_size"] <= SMALL).mean()),
            "large objects": float((full["object_size"] > LARGE).mean()),
            "several objects": float((full["objects"] > 1).mean()),
            "touching the border": float(full["border"].mean()),
            "off centre": float((full["centre_distance"] > CENTRAL).mean()),
            "median contrast": float(full["contrast"].median()),
        }
