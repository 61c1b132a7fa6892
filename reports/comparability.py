"""Which results may be compared, and which methods may be ranked.

Two numbers are the same quantity only if they were made in the same way from the same images: under one protocol, with
the same policy applied to the same number of pairs, against the same masks. Results that agree in all of this form a
class. A report ranks, marks and tests methods within one class of each dataset; every other result is printed with its
number and is "not compared".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sodbench.results import Signature

# (method, dataset)
Key = tuple[str, str]

NOT_COMPARED = "not compared"
# The field of a signature that names the version: results of two versions are marked, but they are compared.
VERSION_FIELD = "sodbench"
# A field of one metric alone: the others are compared with results that lack it.
HCE_FIELD = "hce"
# Fields that all datasets of a report should share; the others depend on the dataset.
EVERYWHERE = (VERSION_FIELD, "protocol", "gt")
# How many combinations of datasets find_ranking tries.
_MAX_COMBINATIONS = 1000


@dataclass(frozen=True)
class Ranking:
    """The methods that mean ranks are computed for, and the datasets that all of them share.

    Attributes
    ----------
    methods, datasets : tuple of str
        Empty where there are no ranks.
    """

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparable:
    """The results that may be compared.

    Attributes
    ----------
    compared : mapping of str to tuple of str
        For each dataset the methods of its class, in order; empty where fewer than two were scored alike.
    usual : mapping of str to Signature
        For each dataset the signature of its class.
    reasons : mapping of (str, str) to str
        For each result outside the class, why it is not compared.
    alike : mapping of str to tuple of str
        For each dataset the methods of its class, even where that is a single one.
    """

    compared: Mapping[str, tuple[str, ...]]
    usual: Mapping[str, Signature]
    reasons: Mapping[Key, str]
    alike: Mapping[str, tuple[str, ...]]

    def has(self, method: str, dataset: str) -> bool:
        """Whether this result is compared with others.

        Parameters
        ----------
        method, dataset : str

        Returns
        -------
        bool
        """
        return method in self.compared.get(dataset, ())


def find_comparable(
    signatures: Mapping[Key, Signature], fingerprints: Mapping[Key, str] | None = None
) -> Comparable:
    """Find the class of each dataset: the largest one, and of equally large ones that of the most common protocol.

    Parameters
    ----------
    signatures : mapping of (str, str) to Signature
        By (method, dataset).
    fingerprints : mapping of (str, str) to str, optional
        For each result a text that is equal for two results exactly if they were scored on the same images and masks.

    Returns
    -------
    Comparable
    """
    fingerprints = fingerprints or {}
    main = Counter(s.protocol for s in signatures.values()).most_common(1)[0][0]
    compared: dict[str, tuple[str, ...]] = {}
    usual: dict[str, Signature] = {}
    alike: dict[str, tuple[str, ...]] = {}
    reasons: dict[Key, str] = {}
    for dataset in dict.fromkeys(dataset for _, dataset in signatures):
        methods = [method for method, d in signatures if d == dataset]
        classes: dict[object, list[str]] = {}
        for method in methods:
            key = method, dataset
            fields = signature_fields(signatures[key], without=(VERSION_FIELD, HCE_FIELD))
            classes.setdefault((tuple(fields.items()), fingerprints.get(key, "")), []).append(
                method
            )
        largest = min(
            classes.values(),
            key=lambda members: (-len(members), signatures[members[0], dataset].protocol != main),
        )
        usual[dataset] = signatures[largest[0], dataset]
        alike[dataset] = tuple(largest)
        compared[dataset] = alike[dataset] if len(largest) > 1 else ()
        for method in methods:
            if method not in compared[dataset]:
                key = method, dataset
                differences = differing_fields(
                    signature_fields(signatures[key], without=(VERSION_FIELD, HCE_FIELD)),
                    signature_fields(usual[dataset], without=(VERSION_FIELD, HCE_FIELD)),
                )
                reasons[key] = _explain_exclusion(differences, len(methods), method in largest)
    return Comparable(compared, usual, reasons, alike)


def _explain_exclusion(differences: Sequence[str], methods: int, in_class: bool) -> str:
    """Why a result is not compared."""
    if methods == 1:
        return "the only result on this dataset"
    if differences:
        return "; ".join(differences)
    if in_class:
        return "no other result was made in the same way"
    return "scored on other images or masks"


def signature_fields(
    signature: Signature, only: Sequence[str] = (), without: Sequence[str] = ()
) -> dict[str, str]:
    """Return some fields of a signature.

    Parameters
    ----------
    signature : Signature
    only, without : sequence of str, optional
        Names of fields to return, or to leave out.

    Returns
    -------
    dict of str to str
        In the order of the signature.
    """
    return {
        name: value
        for name, value in signature.fields.items()
        if name not in without and (not only or name in only)
    }


def differing_fields(fields: Mapping[str, str], usual: Mapping[str, str]) -> list[str]:
    """Describe the fields of a signature that differ from the usual ones.

    Parameters
    ----------
    fields, usual : mapping of str to str
        Fields by name; a missing one is empty.

    Returns
    -------
    list of str
        For example ``n:298 instead of n:300``.
    """
    return [
        f"{name}:{fields.get(name) or 'none'} instead of {name}:{usual.get(name) or 'none'}"
        for name in dict.fromkeys([*usual, *fields])
        if fields.get(name, "") != usual.get(name, "")
    ]


def find_ranking(compared: Mapping[str, Sequence[str]]) -> Ranking:
    """Find the methods and datasets of the mean ranks: every method is compared on every dataset.

    Parameters
    ----------
    compared : mapping of str to sequence of str
        For each dataset the methods that are compared on it.

    Returns
    -------
    Ranking
        Of all choices with at least two methods the one with the most results (methods times datasets), then the one
        with more methods.
    """
    methods = list(dict.fromkeys(m for members in compared.values() for m in members))
    datasets_of = {
        m: frozenset(d for d, members in compared.items() if m in members) for m in methods
    }
    # candidates: the datasets of each method, and what several methods share
    candidates: set[frozenset[str]] = set()
    for datasets in dict.fromkeys(datasets_of.values()):
        if len(candidates) < _MAX_COMBINATIONS:
            candidates |= {datasets & other for other in candidates}
        candidates.add(datasets)
    best, best_size = Ranking(), (0, 0)
    for datasets in sorted(candidates - {frozenset()}, key=sorted):
        ranked = tuple(m for m in methods if datasets_of[m] >= datasets)
        size = (len(ranked) * len(datasets), len(ranked))
        if len(ranked) > 1 and size > best_size:
            best, best_size = Ranking(ranked, tuple(d for d in compared if d in datasets)), size
    return best
