"""Strict pairing of saliency maps with masks by name: nothing is dropped, guessed or intersected.

A map belongs to the mask of the same stem; extensions may differ. Released maps often carry a suffix
(``0001_sal_fuse.png``, ``0001_DSS.png``): it is recognised if nearly every map of the folder carries it, and
reported in `Pairing.suffix`.
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sodbench.datasets.list_files import (
    is_comment,
    is_delimited,
    read_numbered_lines,
    split_columns,
)
from sodbench.datasets.registry import normalise_name
from sodbench.errors import Problem, ProblemsError, SodbenchError
from sodbench.folders import name_stem

# What may separate an image's name from the suffix that a method appends to it
_SEPARATORS = "_-. "
# A suffix that fewer masks have may be a coincidence of names
_NEARLY_ALL = 0.9


class Pair(NamedTuple):
    """One mask and the map that is scored against it.

    Attributes
    ----------
    stem : str
        The mask's.
    mask, map : Path
    """

    stem: str
    mask: Path
    map: Path


class Unpaired(NamedTuple):
    """A file without its counterpart; the stem is without a map's suffix, the reason may be empty.

    Attributes
    ----------
    stem : str
        Without a map's suffix.
    path : Path
    reason : str
        Why there is none, if that is known; else empty.
    """

    stem: str
    path: Path
    reason: str = ""


class Ambiguous(NamedTuple):
    """Several files (all masks, or all maps) that claim one stem.

    Attributes
    ----------
    stem : str
    paths : tuple of Path
        All masks, or all maps.
    """

    stem: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Pairing:
    """The result of `pair_files`: each mask and each map is in exactly one of the lists.

    (With one exception: if the maps of a stem are ambiguous, its single mask is in no list, and vice versa.)

    Attributes
    ----------
    pairs : tuple of Pair
        Sorted by stem.
    missing : tuple of Unpaired
        Masks without a map.
    extra : tuple of Unpaired
        Maps without a mask.
    ambiguous : tuple of Ambiguous
        Stems that several files claim.
    outside_subset : tuple of Path
        Maps of items outside the subset that is scored; this is no problem.
    suffix : str
        What the stem of every paired map carries after the mask's stem; may be empty.
    hint : str
        One sentence on a likely reason for the mismatches; may be empty.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[Unpaired, ...] = ()
    extra: tuple[Unpaired, ...] = ()
    ambiguous: tuple[Ambiguous, ...] = ()
    outside_subset: tuple[Path, ...] = ()
    suffix: str = ""
    hint: str = ""

    @property
    def complete(self) -> bool:
        """Whether every mask has exactly one map and no map is left over."""
        return not (self.missing or self.extra or self.ambiguous)

    def problems(self) -> tuple[Problem, ...]:
        """Return everything that is not a pair, as problems ``ambiguous``, ``missing`` and ``extra``."""
        problems = []
        for item in self.ambiguous:
            claims = "claimed by " + ", ".join(map(str, item.paths))
            problems.append(Problem("ambiguous", item.stem, claims))
        for mask in self.missing:
            reason = mask.reason or f"no map named {mask.stem}{self.suffix}.* for this mask"
            problems.append(Problem("missing", str(mask.path), reason))
        for map_ in self.extra:
            problems.append(Problem("extra", str(map_.path), "no mask for this map"))
        return tuple(problems)


def pair_files(
    masks: Mapping[str, Path] | Iterable[Path],
    maps: Mapping[str, list[Path]] | Iterable[Path],
    outside_subset: Collection[str] = (),
) -> Pairing:
    """Pair maps with masks by stem.

    Parameters
    ----------
    masks : mapping of str to Path, or iterable of Path
        Stem -> path if the stems are not those of the file names (see `Dataset.masks`), or paths.
    maps : iterable of Path, or mapping of str to list of Path
        The maps of one folder, or stem -> paths if the stems are not those of the file names.
    outside_subset : collection of str
        Stems of the same dataset that are not scored; their maps are no problem.

    Returns
    -------
    Pairing
    """
    if isinstance(masks, Mapping):
        mask_paths = {stem: [path] for stem, path in masks.items()}
    else:
        mask_paths = group_by_stem(masks)
    maps_by_own_stem = maps if isinstance(maps, Mapping) else group_by_stem(maps)
    wanted = mask_paths.keys() | set(outside_subset)
    suffix = common_suffix(maps_by_own_stem, wanted)
    map_paths = _strip_suffix(maps_by_own_stem, suffix, wanted) if suffix else maps_by_own_stem

    pairs, missing, extra, ambiguous = [], [], [], []
    outside: list[Path] = []
    none: list[Path] = []
    # both are usually sorted, and sorting two runs takes a tenth of the time of sorting a set
    for stem in sorted([*mask_paths, *(stem for stem in map_paths if stem not in mask_paths)]):
        own_masks, own_maps = mask_paths.get(stem, none), map_paths.get(stem, none)
        if len(own_masks) == len(own_maps) == 1:
            pairs.append(Pair(stem, own_masks[0], own_maps[0]))
        elif not own_masks and stem in outside_subset:
            outside += own_maps
        elif len(own_masks) > 1 or len(own_maps) > 1:
            ambiguous += [Ambiguous(stem, tuple(p)) for p in (own_masks, own_maps) if len(p) > 1]
        elif own_masks:
            missing.append(Unpaired(stem, own_masks[0]))
        else:
            extra.append(Unpaired(stem, own_maps[0]))
    return Pairing(
        tuple(pairs),
        tuple(missing),
        tuple(extra),
        tuple(ambiguous),
        tuple(outside),
        suffix,
        _mismatch_hint([item.stem for item in missing], [item.stem for item in extra]),
    )


def _strip_suffix(
    maps: Mapping[str, list[Path]], suffix: str, wanted: Collection[str]
) -> Mapping[str, list[Path]]:
    """The maps by their stems without the suffix."""
    stripped: defaultdict[str, list[Path]] = defaultdict(list)
    for own, paths in maps.items():
        # a map whose whole stem is a mask's keeps it, even if it ends in the suffix
        stripped[own if own in wanted else own.removesuffix(suffix)] += paths
    return stripped


def group_by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Group paths by the stems of their names.

    Returns
    -------
    dict of str to list of Path
        In the order of the paths.
    """
    groups: dict[str, list[Path]] = {}
    for path in paths:
        text = str(path)
        stem = name_stem(text[text.rfind(os.sep) + 1 :])
        # setdefault() would make a list for every path
        if stem in groups:
            groups[stem].append(path)
        else:
            groups[stem] = [path]
    return groups


def common_suffix(stems: Collection[str], wanted: Collection[str]) -> str:
    """Find the suffix that nearly every stem carries after a wanted stem.

    Parameters
    ----------
    stems : collection of str
        Stems of maps or masks.
    wanted : collection of str
        The stems that they belong to.

    Returns
    -------
    str
        A suffix that begins with one of ``_-. ``, that at least nine in ten of the stems have, and without
        which more stems are wanted ones than with it; empty if there is none.
    """
    wanted = set(wanted)
    if wanted.issuperset(stems):
        return ""
    votes = Counter(
        stem[at:]
        for stem in stems
        for at, character in enumerate(stem)
        if at and character in _SEPARATORS and stem[:at] in wanted
    )
    if not votes:
        return ""
    suffix, matches = max(votes.items(), key=lambda vote: (vote[1], -len(vote[0])))
    # masks may carry the suffix themselves; then it belongs to the name
    unchanged = sum(stem in wanted for stem in stems)
    carriers = sum(stem.endswith(suffix) for stem in stems)
    return suffix if matches > unchanged and carriers >= _NEARLY_ALL * len(stems) else ""


def _mismatch_hint(missing: Sequence[str], extra: Sequence[str]) -> str:
    """A likely reason why stems of masks and of maps do not match, in words; empty if there is none."""
    if not missing or not extra:
        return ""
    simplifications = {
        "in the zeros before the number": lambda stem: stem.lstrip("0") or "0",
        "in the case of the letters": str.lower,
        "in punctuation or case": normalise_name,
        "in how accents are encoded (Unicode NFC or NFD; macOS writes NFD)": _compose_accents,
    }
    for difference, simplify in simplifications.items():
        # reversed, so that the first of several maps is named
        maps = {simplify(stem): stem for stem in reversed(extra)}
        for stem in missing:
            if simplify(stem) in maps:
                return (
                    f"some names differ only {difference}: mask {stem}, map {maps[simplify(stem)]}"
                )
    wanted = set(missing)
    # the endings differ, or they would have been recognised as the suffix
    if any(e[:at] in wanted for e in extra for at, c in enumerate(e) if c in _SEPARATORS):
        return (
            "some maps are named after a mask with differing endings: are several methods' maps "
            "in one folder?"
        )
    return ""


def _compose_accents(stem: str) -> str:
    return unicodedata.normalize("NFC", stem)


# --- lists of pairs ----------------------------------------------------------------------------------


def read_pair_list(list_file: Path | str) -> Pairing:
    """Read the pairs of a SalMetric list: ``map.png mask.png`` a line, relative to the list's folder.

    Blank lines and comments (``#``) are ignored. Names may hold spaces where files, tabs or double quotes show
    where the map's name ends.

    Parameters
    ----------
    list_file : Path or str
        The list.

    Returns
    -------
    Pairing
        A map that does not exist is in `Pairing.missing`.

    Raises
    ------
    SodbenchError
        For a line of another form; the message names the line.
    ProblemsError
        For masks that do not exist; the message names all their lines.
    """
    list_file = Path(list_file)
    pairs, missing, no_mask = [], [], []
    for number, line in read_numbered_lines(list_file):
        where = f"{list_file}, line {number}"
        # a name may begin with "#": the line is a comment only if there is no such file
        if is_comment(line) and not _listed_path(list_file, split_columns(line)[0]).exists():
            continue
        map_path, mask_path = _map_and_mask(list_file, line, where)
        if not mask_path.exists():
            detail = f"named in {where}, but not there{_windows_hint(line)}"
            no_mask.append(Problem("no-mask", str(mask_path), detail))
        elif map_path.exists():
            pairs.append(Pair(mask_path.stem, mask_path, map_path))
        else:
            reason = f"its map {map_path} is named in {where}, but not there"
            missing.append(Unpaired(mask_path.stem, mask_path, reason))
    if no_mask:
        raise ProblemsError(
            f"{list_file}: {len(no_mask)} mask(s) of this list are not there",
            no_mask,
            f"paths are relative to the list's folder, {list_file.absolute().parent}; fix these lines or remove them",
        )
    if not (pairs or missing):
        raise SodbenchError(f"{list_file}: the list names no pairs")
    return _pairing_of_list(pairs, missing)


def _map_and_mask(list_file: Path, line: str, where: str) -> tuple[Path, Path]:
    """The two paths of a line; raises for a line of another form, or with two readings."""
    if is_delimited(line):
        readings = [split_columns(line)]
    else:
        readings = [[line[: gap.start()], line[gap.end() :]] for gap in re.finditer(r"\s+", line)]
    pairs = [
        (_listed_path(list_file, reading[0]), _listed_path(list_file, reading[1]))
        for reading in readings
        if len(reading) == 2
    ]
    if len(pairs) > 1:
        # a map that is missing must not make a line unreadable, so the mask alone may decide
        with_mask = [pair for pair in pairs if pair[1].is_file()]
        pairs = [pair for pair in with_mask if pair[0].is_file()] or with_mask
    if len(pairs) == 1:
        return pairs[0]
    if pairs:
        raise SodbenchError(
            f"{where}: {line!r} can be read in {len(pairs)} ways; separate map and mask by a tab, or quote the names"
        )
    raise SodbenchError(
        f"{where}: expected 'map.png mask.png', found {line!r}; where names have spaces, separate map and mask "
        f'by a tab or quote them ("my map.png" "my mask.png"){_windows_hint(line)}'
    )


def _listed_path(list_file: Path, name: str) -> Path:
    """A listed file, relative to the list's folder; backslashes are folders if that leads to a file."""
    path = list_file.parent / name
    if "\\" in name and not path.exists():
        on_windows = list_file.parent / name.replace("\\", "/")
        return on_windows if on_windows.exists() else path
    return path


def _windows_hint(line: str) -> str:
    if "\\" in line or re.match(r"[A-Za-z]:", line):
        return " (the list looks as if it was written on Windows; paths are relative to the list's folder)"
    return ""


def _pairing_of_list(pairs: Sequence[Pair], missing: Sequence[Unpaired]) -> Pairing:
    """A pairing in which stems that are listed twice are ambiguous."""
    files: dict[str, list[Path]] = {}
    for pair in pairs:
        files.setdefault(pair.stem, []).append(pair.map)
    for item in missing:
        files.setdefault(item.stem, []).append(item.path)
    repeated = {stem: tuple(paths) for stem, paths in files.items() if len(paths) > 1}
    return Pairing(
        tuple(pair for pair in pairs if pair.stem not in repeated),
        missing=tuple(item for item in missing if item.stem not in repeated),
        ambiguous=tuple(Ambiguous(stem, paths) for stem, paths in repeated.items()),
    )
