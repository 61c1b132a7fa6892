"""Datasets: what is known about them, what is on disk, and which map belongs to which mask.

>>> from sodbench.datasets import find_dataset
>>> find_dataset("SOD", "data").samples[0]              # doctest: +SKIP
Sample(stem='100075', image=PosixPath('data/SOD/Imgs/100075.jpg'), mask=PosixPath(...))
"""

from sodbench.datasets.attributes import attribute_groups, measure_attributes
from sodbench.datasets.build import (
    dataset_from_folders,
    dataset_from_list,
    expected_stems,
    name_own_subset,
)
from sodbench.datasets.dataset import (
    Dataset,
    DatasetNotFound,
    Sample,
    apply_limits,
    check_unique_names,
    deduplicate,
)
from sodbench.datasets.ground_truth import find_masks
from sodbench.datasets.grouped import find_grouped_masks
from sodbench.datasets.layouts import (
    infer_dataset_name,
    list_images,
    list_unread_images,
)
from sodbench.datasets.list_files import read_stem_list
from sodbench.datasets.pairing import (
    Pair,
    Pairing,
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
    official_names,
    register_dataset,
)
from sodbench.datasets.resolve import find_dataset, find_own_datasets

__all__ = [
    "DATASETS",
    "TEST_SETS",
    "TRAIN_SET",
    "WEIGHTS",
    "Dataset",
    "DatasetInfo",
    "DatasetNotFound",
    "Pair",
    "Pairing",
    "Sample",
    "Source",
    "Weights",
    "apply_limits",
    "attribute_groups",
    "canonical_name",
    "check_unique_names",
    "dataset_from_folders",
    "dataset_from_list",
    "deduplicate",
    "expected_stems",
    "find_dataset",
    "find_grouped_masks",
    "find_masks",
    "find_own_datasets",
    "infer_dataset_name",
    "known_name",
    "list_images",
    "list_unread_images",
    "measure_attributes",
    "name_own_subset",
    "official_names",
    "pair_files",
    "read_pair_list",
    "read_stem_list",
    "register_dataset",
]
