"""Which results may be compared, and which methods may be ranked.

Two numbers are the same quantity only if they were made in the same way from the same images: under one protocol, with
the same policy applied to the same number of pairs, against the same masks. Results that agree in all of this form a
class. A report ranks, marks and tests methods within one class of each dataset; every other result is printed with its
number and is "not compared".
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, str]
"""(method, dataset)"""

NOT_COMPARED = "not compared"
VERSION = "sodbench"
"""The field of a signature that names the version: results of two versions are marked, but they are compared."""
EVERYWHERE = ("protocol", "gt", VERSION)
"""Fields that all datasets of a report should share; the others depend on the dataset."""
MOST_SETS = 1000
"""Sets of datasets tried by :func:`find_ranking`."""


@dataclass(frozen=True)
class Ranking:
    """The methods that mean ranks are computed for, and the datasets that all of them share."""

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparable:
    """The results that may be compared.

    compared: for each dataset the methods of its class, in order; empty where fewer than two were scored alike.
    usual: for each dataset the signature that its results are measured against.
    alike: for each dataset the methods of its class, even where that is a single one.
    reasons: for each result outside the class, why it is not compared.
    """

    compared: Mapping[str, tuple[str, ...]]
    usual: Mapping[str, str]
    reasons: Mapping[Key, str]
    alike: Mapping[str, tuple[str, ...]]

    def has(self, method: str, dataset: str) -> bool:
        """Whether this result is compared with others."""
        return method in self.compared.get(dataset, ())


def signature_fields(signature: str) -> dict[str, str]:
    """A signature's fields by name, e.g. ``protocol`` -> ``salmetric``."""
    return dict(part.partition(":")[::2] for part in signature.split("|"))


def find_comparable(
    signatures: Mapping[Key, str], fingerprints: Mapping[Key, str] | None = None
) -> Comparable:
    """Find the class of each dataset: the largest one, and of equally large ones that of the commonest protocol.

    Parameters
    ----------
    signatures
        The signature of each result.
    fingerprints
        For each result a text that is equal for two results exactly if they were scored on the same images and masks.
    """
    fingerprints = fingerprints or {}
    fields = {key: signature_fields(s) for key, s in signatures.items()}
    main = most_common([f.get("protocol", "") for f in fields.values()])
    compared: dict[str, tuple[str, ...]] = {}
    usual: dict[str, str] = {}
    alike: dict[str, tuple[str, ...]] = {}
    reasons: dict[Key, str] = {}
    for dataset in dict.fromkeys(d for _, d in signatures):
        methods = [m for m, d in signatures if d == dataset]
        classes: dict[object, list[str]] = {}
        for method in methods:
            key = method, dataset
            how = {name: v for name, v in fields[key].items() if name != VERSION}
            identity = (tuple(sorted(how.items())), fingerprints.get(key, ""))
            classes.setdefault(identity, []).append(method)
        chosen = min(
            classes.values(),
            key=lambda c: (-len(c), fields[c[0], dataset].get("protocol") != main),
        )
        usual[dataset] = signatures[chosen[0], dataset]
        alike[dataset] = tuple(chosen)
        compared[dataset] = alike[dataset] if len(chosen) > 1 else ()
        for method in methods:
            if method in compared[dataset]:
                continue
            differences = differing_fields(signatures[method, dataset], usual[dataset], {VERSION})
            if len(methods) == 1:
                reasons[method, dataset] = "the only result on this dataset"
            elif differences:
                reasons[method, dataset] = "; ".join(differences)
            elif method in chosen:
                reasons[method, dataset] = "no other result was made in the same way"
            else:
                reasons[method, dataset] = "scored on other images or masks"
    return Comparable(compared, usual, reasons, alike)


def differing_fields(
    signature: str, usual: str, ignored: Collection[str] = (), only: Collection[str] = ()
) -> list[str]:
    """What a signature has otherwise than the usual one, e.g. ``n:298 instead of n:300``."""
    here, there = signature_fields(signature), signature_fields(usual)
    return [
        f"{name}:{here.get(name) or 'none'} instead of {name}:{there.get(name) or 'none'}"
        for name in dict.fromkeys([*there, *here])
        if name not in ignored
        and (not only or name in only)
        and here.get(name, "") != there.get(name, "")
    ]


def find_ranking(compared: Mapping[str, Sequence[str]]) -> Ranking:
    """The methods and datasets of the mean ranks: every method is compared on every dataset.

    Of all such choices with at least two methods the one with the most results (methods times datasets), then the one
    with more methods. ``compared`` names the methods that are compared on each dataset.
    """
    methods = list(dict.fromkeys(m for found in compared.values() for m in found))
    of_method = {m: frozenset(d for d, found in compared.items() if m in found) for m in methods}
    shared: set[frozenset[str]] = set()
    for datasets in dict.fromkeys(of_method.values()):
        if len(shared) < MOST_SETS:
            shared |= {datasets & other for other in shared}
        shared.add(datasets)
    best = Ranking()
    for datasets in sorted(shared - {frozenset()}, key=sorted):
        ranked = tuple(m for m in methods if of_method[m] >= datasets)
        size = len(ranked) * len(datasets)
        before = len(best.methods) * len(best.datasets)
        if len(ranked) > 1 and (size, len(ranked)) > (before, len(best.methods)):
            best = Ranking(ranked, tuple(d for d in compared if d in datasets))
    return best


def most_common(values: Iterable[str]) -> str:
    """The value that occurs most often, of equally frequent ones the first; nothing where there is none."""
    values = list(values)
    return Counter(values).most_common(1)[0][0] if values else ""
