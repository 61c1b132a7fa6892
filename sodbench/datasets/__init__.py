"""The data sets: what is known of them, what is on disk, and how maps meet masks.

>>> from sodbench.datasets import find_dataset
>>> find_dataset("SOD", "data").samples[0]              # doctest: +SKIP
Sample(stem='100075', image=PosixPath('data/SOD/Imgs/100075.jpg'), mask=PosixPath(...))
"""

from sodbench.datasets.attributes import attribute_groups, attributes_of
from sodbench.datasets.dataset import (
    Dataset,
    DatasetNotFound,
    Sample,
    chosen,
    distinct,
    listed_stems,
    refuse_namesakes,
)
from sodbench.datasets.finding import find_dataset, find_datasets, find_masks, own_datasets
from sodbench.datasets.layouts import LAYOUTS, guess_name, pictures
from sodbench.datasets.official import official_names
from sodbench.datasets.pairing import (
    Ambiguous,
    Pair,
    Pairing,
    Unpaired,
    pair_files,
    read_pair_list,
)
from sodbench.datasets.registry import (
    DATASETS,
    TEST_SETS,
    TRAIN_SET,
    WEIGHTS,
    DatasetInfo,
    Source,
    Weights,
    canonical_name,
    known_name,
)
from sodbench.datasets.samples import expected_names, folder_pairs, listed_pairs, name_own_subset

__all__ = [
    "DATASETS",
    "LAYOUTS",
    "TEST_SETS",
    "TRAIN_SET",
    "WEIGHTS",
    "Ambiguous",
    "Dataset",
    "DatasetInfo",
    "DatasetNotFound",
    "Pair",
    "Pairing",
    "Sample",
    "Source",
    "Unpaired",
    "Weights",
    "attribute_groups",
    "attributes_of",
    "canonical_name",
    "chosen",
    "distinct",
    "expected_names",
    "find_dataset",
    "find_datasets",
    "find_masks",
    "folder_pairs",
    "guess_name",
    "known_name",
    "listed_pairs",
    "listed_stems",
    "name_own_subset",
    "official_names",
    "own_datasets",
    "pair_files",
    "pictures",
    "read_pair_list",
    "refuse_namesakes",
]
