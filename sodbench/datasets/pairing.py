"""Strict pairing of saliency maps with masks by name: nothing is dropped, guessed or intersected.

A map belongs to the mask of the same stem; extensions may differ.  Released maps often carry a suffix
(``0001_sal_fuse.png``, ``0001_DSS.png``): it is recognised when nearly every map of the folder carries
it, and reported in :attr:`Pairing.suffix`.
"""

import codecs
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sodbench.datasets.registry import normalise_name
from sodbench.errors import Problem, ProblemsError, SodbenchError

_SEPARATORS = "_-. "
_NEARLY_ALL = 0.9


class Pair(NamedTuple):
    """One mask and the map that is to be scored against it."""

    stem: str
    mask: Path
    map: Path


class Unpaired(NamedTuple):
    """A file without its counterpart; ``stem`` as compared, a map's suffix stripped; ``reason`` where that is known."""

    stem: str
    path: Path
    reason: str = ""


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
    outside_subset: maps of items that were named as lying outside the subset asked for (no problem).
    hint: one sentence on what the mismatch looks like, or empty.
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
                    item.reason
                    or f"no map named {looked_for.format(stem=item.stem)} for this mask",
                )
                for item in self.missing
            ),
            *(Problem("extra", str(item.path), "no mask for this map") for item in self.extra),
        )


def pair_files(
    masks: Mapping[str, Path] | Iterable[Path],
    maps: Iterable[Path],
    outside_subset: Collection[str] = (),
) -> Pairing:
    """Pair maps with masks by stem.

    masks: paths, or stem -> path where the stem is not the file name's (see ``Dataset.masks``).
    maps: paths of one folder.
    outside_subset: stems of the same data set that are not asked for (a subset is being scored); their
        maps are listed in :attr:`Pairing.outside_subset` and are no problem.
    """
    if isinstance(masks, Mapping):
        mask_of = {stem: [path] for stem, path in masks.items()}
    else:
        mask_of = _by_stem(masks)
    by_own_stem = _by_stem(maps)
    wanted = mask_of.keys() | set(outside_subset)
    suffix = common_suffix(by_own_stem, wanted)
    map_of: defaultdict[str, list[Path]] = defaultdict(list)
    for own, paths in by_own_stem.items():
        map_of[own if own in wanted else own.removesuffix(suffix)] += paths

    pairs, missing, extra, ambiguous, beyond = [], [], [], [], []
    for stem in sorted(mask_of.keys() | map_of.keys()):
        of_mask, of_map = mask_of.get(stem, []), map_of.get(stem, [])
        if not of_mask and stem in outside_subset:
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
    Blank lines and comments (``#``) are ignored.  Names with spaces: see :func:`columns`.
    Raises :class:`SodbenchError` for a line of another form, and :class:`ProblemsError` with every mask that
    is not there; both name the lines.
    """
    list_file = Path(list_file)
    pairs, missing, no_mask = [], [], []
    for number, line in read_numbered_lines(list_file):
        where = f"{list_file}, line {number}"
        if is_comment(line) and not _listed_path(list_file, columns(line)[0]).exists():
            continue
        map_path, mask_path = _map_and_mask(list_file, line, where)
        if not mask_path.exists():
            no_mask.append(
                Problem(
                    "no-mask", str(mask_path), f"named in {where}, but not there{_windows(line)}"
                )
            )
        elif map_path.exists():
            pairs.append(Pair(mask_path.stem, mask_path, map_path))
        else:
            why = f"its map {map_path} is named in {where}, but not there"
            missing.append(Unpaired(mask_path.stem, mask_path, why))
    if no_mask:
        raise ProblemsError(
            f"{list_file}: {len(no_mask)} mask(s) of this list are not there",
            no_mask,
            f"paths are relative to the list's folder, {list_file.absolute().parent}; fix these lines or remove them",
        )
    if not (pairs or missing):
        raise SodbenchError(f"{list_file}: the list names no pairs")
    return _each_once(pairs, missing)


def _map_and_mask(list_file: Path, line: str, where: str) -> tuple[Path, Path]:
    """The two paths of a line.  Names may hold spaces where files, tabs or quotes show where the map's name ends.

    Raises :class:`SodbenchError` for a line of another form, or of two readings.
    """
    if is_delimited(line):
        ways = [columns(line)]
    else:
        ways = [[line[: gap.start()], line[gap.end() :]] for gap in re.finditer(r"\s+", line)]
    pairs = [
        (_listed_path(list_file, way[0]), _listed_path(list_file, way[1]))
        for way in ways
        if len(way) == 2
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
        f'by a tab or quote them ("my map.png" "my mask.png"){_windows(line)}'
    )


def _listed_path(list_file: Path, name: str) -> Path:
    """A listed file, relative to the list's folder; backslashes are folders where that leads to a file."""
    path = list_file.parent / name
    if "\\" in name and not path.exists():
        on_windows = list_file.parent / name.replace("\\", "/")
        return on_windows if on_windows.exists() else path
    return path


def _windows(line: str) -> str:
    """A hint where a line looks like a path of another machine."""
    if "\\" in line or re.match(r"[A-Za-z]:", line):
        return " (the list looks as if it was written on Windows; paths are relative to the list's folder)"
    return ""


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


def read_numbered_lines(list_file: Path) -> list[tuple[int, str]]:
    """The lines of a list file that are not blank, with their numbers from 1.

    Lists written on Windows are read too: byte order marks, UTF-16 (PowerShell writes it) and CRLF.
    Raises :class:`SodbenchError` for a file that cannot be read as text.
    """
    try:
        data = list_file.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise SodbenchError(
            f"{list_file}: cannot be read as a list of names ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise SodbenchError(
            f"{list_file}: cannot be read as a list of names ({error}); save it as UTF-8 text"
        ) from error
    # not str.splitlines: names may hold the rarer characters that it splits at
    lines = enumerate(re.split(r"\r\n|\n|\r", text), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_lines(list_file: Path) -> list[str]:
    """The lines of :func:`read_numbered_lines` without their numbers."""
    return [line for _, line in read_numbered_lines(list_file)]


def is_comment(line: str) -> bool:
    """Whether a line of a list is a comment; a name may begin with ``#`` too, so ask for the name first."""
    return line.startswith("#")


def columns(line: str) -> list[str]:
    """The columns of a list's line: separated by tabs if there are any, else by spaces outside double quotes."""
    if "\t" in line:
        return [column.strip().strip('"') for column in line.split("\t") if column.strip()]
    if line.count('"') % 2:  # a name with a quote in it
        return line.split()
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^"\s]+)', line)]


def is_delimited(line: str) -> bool:
    """Whether tabs or quotes say where the columns of a line end."""
    return "\t" in line or (line.count('"') >= 2 and line.count('"') % 2 == 0)


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
        "in punctuation or case": normalise_name,
        "in how accents are encoded (Unicode NFC or NFD; macOS writes NFD)": _composed,
    }
    for difference, simplify in ways.items():
        if {simplify(stem) for stem in missing} & {simplify(stem) for stem in extra}:
            match = next((m, e) for m in missing for e in extra if simplify(m) == simplify(e))
            return f"some names differ only {difference}: mask {match[0]}, map {match[1]}"
    wanted = set(missing)
    if any(e[:at] in wanted for e in extra for at, c in enumerate(e) if c in _SEPARATORS):
        return (
            "some maps are named after a mask with differing endings: are several methods' maps "
            "in one folder?"
        )
    return ""
