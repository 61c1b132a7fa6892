"""Strict pairing of saliency maps with masks by name: nothing is dropped, guessed or intersected.

A map belongs to the mask of the same stem; extensions may differ.  Released maps often carry a suffix
(``0001_sal_fuse.png``, ``0001_DSS.png``): it is recognised when nearly every map of the folder carries
it, and reported in :attr:`Pairing.suffix`.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sodbench.datasets.registry import folder_key
from sodbench.errors import Problem, ProblemsError, SodbenchError

_SEPARATORS = "_-. "
_NEARLY_ALL = 0.9


class Pair(NamedTuple):
    """One mask and the map that is to be scored against it."""

    stem: str
    mask: Path
    map: Path


class Unpaired(NamedTuple):
    """A file without its counterpart; ``stem`` as compared, a map's suffix stripped; ``why`` where that is known."""

    stem: str
    path: Path
    why: str = ""


class Ambiguous(NamedTuple):
    """Several files (all masks, or all maps) that claim one stem."""

    stem: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Pairing:
    """What :func:`pair_files` found: each mask and map given is in exactly one of the lists.

    (But of a stem whose maps are ambiguous the single mask is listed nowhere, and the other way round.)

    suffix: what every paired map's stem carries after the mask's stem, or empty.
    missing: masks without a map; extra: maps without a mask; ambiguous: stems claimed twice.
    outside: maps of items that were named as lying outside the subset asked for (no problem).
    hint: one sentence on what the mismatch looks like, or empty.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[Unpaired, ...] = ()
    extra: tuple[Unpaired, ...] = ()
    ambiguous: tuple[Ambiguous, ...] = ()
    outside: tuple[Path, ...] = ()
    suffix: str = ""
    hint: str = ""

    @property
    def complete(self) -> bool:
        """Whether every mask met exactly one map and no map is left over."""
        return not (self.missing or self.extra or self.ambiguous)

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is not a pair, as problems ``ambiguous``, ``missing`` and ``extra``."""
        looked_for = f"{{stem}}{self.suffix}.*"
        return (
            *(
                Problem("ambiguous", item.stem, "claimed by " + ", ".join(map(str, item.paths)))
                for item in self.ambiguous
            ),
            *(
                Problem(
                    "missing",
                    str(item.path),
                    item.why or f"no map named {looked_for.format(stem=item.stem)} for this mask",
                )
                for item in self.missing
            ),
            *(Problem("extra", str(item.path), "no mask for this map") for item in self.extra),
        )


def pair_files(
    masks: Mapping[str, Path] | Iterable[Path],
    maps: Iterable[Path],
    outside: Collection[str] = (),
) -> Pairing:
    """Pair maps with masks by stem.

    masks: paths, or stem -> path where the stem is not the file name's (see ``Dataset.masks``).
    maps: paths of one folder.
    outside: stems of the same data set that are not asked for (a subset is being scored); their
        maps are listed in :attr:`Pairing.outside` and are no problem.
    """
    if isinstance(masks, Mapping):
        mask_of = {stem: [path] for stem, path in masks.items()}
    else:
        mask_of = _by_stem(masks)
    by_own_stem = _by_stem(maps)
    wanted = mask_of.keys() | set(outside)
    suffix = common_suffix(by_own_stem, wanted)
    map_of: defaultdict[str, list[Path]] = defaultdict(list)
    for own, paths in by_own_stem.items():
        map_of[own if own in wanted else own.removesuffix(suffix)] += paths

    pairs, missing, extra, ambiguous, beyond = [], [], [], [], []
    for stem in sorted(mask_of.keys() | map_of.keys()):
        of_mask, of_map = mask_of.get(stem, []), map_of.get(stem, [])
        if not of_mask and stem in outside:
            beyond += of_map
        elif len(of_mask) > 1 or len(of_map) > 1:
            ambiguous += [Ambiguous(stem, tuple(p)) for p in (of_mask, of_map) if len(p) > 1]
        elif of_mask and of_map:
            pairs.append(Pair(stem, of_mask[0], of_map[0]))
        elif of_mask:
            missing.append(Unpaired(stem, of_mask[0]))
        else:
            extra.append(Unpaired(stem, of_map[0]))
    return Pairing(
        tuple(pairs),
        tuple(missing),
        tuple(extra),
        tuple(ambiguous),
        tuple(beyond),
        suffix,
        _hint([item.stem for item in missing], [item.stem for item in extra]),
    )


def common_suffix(stems: Collection[str], wanted: Collection[str]) -> str:
    """The suffix that nearly every stem carries and without which they are the wanted ones.

    A suffix starts with one of ``_-. `` and is only believed when at least nine in ten of the stems
    end with it and more stems match the wanted ones without it than with it; else it is empty.
    """
    wanted = set(wanted)
    votes = Counter(
        stem[at:]
        for stem in stems
        for at, character in enumerate(stem)
        if at and character in _SEPARATORS and stem[:at] in wanted
    )
    if not votes:
        return ""
    suffix, matches = max(votes.items(), key=lambda vote: (vote[1], -len(vote[0])))
    as_they_are = sum(stem in wanted for stem in stems)
    carriers = sum(stem.endswith(suffix) for stem in stems)
    return suffix if matches > as_they_are and carriers >= _NEARLY_ALL * len(stems) else ""


def read_pair_list(list_file: Path | str) -> Pairing:
    """Pairs named one by one in a SalMetric list: ``map.png mask.png`` a line.

    Paths are taken relative to the list's folder.  A map that is not there is in :attr:`Pairing.missing`.
    Raises :class:`SodbenchError` for a line of another form, and :class:`ProblemsError` with every mask that
    is not there; both name the lines.
    """
    list_file = Path(list_file)
    pairs, missing, no_mask = [], [], []
    for number, line in numbered_lines(list_file):
        parts = line.split()
        if len(parts) != 2:
            raise SodbenchError(
                f"{list_file}, line {number}: expected 'map.png mask.png', found {line!r}"
            )
        map_path, mask_path = (list_file.parent / part for part in parts)
        where = f"{list_file}, line {number}"
        if not mask_path.exists():
            no_mask.append(Problem("no-mask", str(mask_path), f"named in {where}, but not there"))
        elif map_path.exists():
            pairs.append(Pair(mask_path.stem, mask_path, map_path))
        else:
            why = f"its map {map_path} is named in {where}, but not there"
            missing.append(Unpaired(mask_path.stem, mask_path, why))
    if no_mask:
        raise ProblemsError(
            f"{list_file}: {len(no_mask)} mask(s) of this list are not there",
            no_mask,
            f"paths are relative to the list's folder, {list_file.absolute().parent}; mend these lines or take them out",
        )
    if not (pairs or missing):
        raise SodbenchError(f"{list_file}: the list names no pairs")
    return _each_once(pairs, missing)


def _each_once(pairs: Sequence[Pair], missing: Sequence[Unpaired]) -> Pairing:
    """Listed pairs and masks without a map as a pairing; stems that are listed twice are ambiguous."""
    files: dict[str, list[Path]] = {}
    for pair in pairs:
        files.setdefault(pair.stem, []).append(pair.map)
    for item in missing:
        files.setdefault(item.stem, []).append(item.path)
    twice = {stem: tuple(paths) for stem, paths in files.items() if len(paths) > 1}
    return Pairing(
        tuple(pair for pair in pairs if pair.stem not in twice),
        missing=tuple(item for item in missing if item.stem not in twice),
        ambiguous=tuple(Ambiguous(stem, paths) for stem, paths in twice.items()),
    )


def numbered_lines(list_file: Path) -> list[tuple[int, str]]:
    """The lines of a list file that hold something, with their numbers from 1.

    Raises :class:`SodbenchError` for a file that cannot be read as text.
    """
    try:
        text = list_file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SodbenchError(f"{list_file}: cannot be read as a list of names ({error})") from error
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]


def read_lines(list_file: Path) -> list[str]:
    """The lines of :func:`numbered_lines` without their numbers."""
    return [line for _, line in numbered_lines(list_file)]


def _by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    by_stem: dict[str, list[Path]] = {}
    for path in paths:
        by_stem.setdefault(path.stem, []).append(path)
    return by_stem


def _composed(stem: str) -> str:
    return unicodedata.normalize("NFC", stem)


def _hint(missing: Sequence[str], extra: Sequence[str]) -> str:
    """What the two lists of unmatched stems have in common, in words; empty if nothing."""
    if not missing or not extra:
        return ""
    ways = {
        "in the zeros before the number": lambda stem: stem.lstrip("0") or "0",
        "in the case of the letters": str.lower,
        "in punctuation or case": folder_key,
        "in how accents are encoded (Unicode NFC or NFD; macOS writes NFD)": _composed,
    }
    for difference, simplify in ways.items():
        if {simplify(stem) for stem in missing} & {simplify(stem) for stem in extra}:
            match = next((m, e) for m in missing for e in extra if simplify(m) == simplify(e))
            return f"some names differ only {difference}: mask {match[0]}, map {match[1]}"
    wanted = set(missing)
    if any(e[:at] in wanted for e in extra for at, c in enumerate(e) if c in _SEPARATORS):
        return (
            "some maps are named after a mask with differing endings: do several methods' maps lie "
            "in one folder?"
        )
    return ""
