"""Pairing of maps with masks: strict, and with every trap of names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sodbench.datasets import Pairing, list_images, pair_files, read_pair_list, read_stem_list
from sodbench.errors import SodbenchError


def paths(folder: str, *names: str) -> list[Path]:
    return [Path(folder) / name for name in names]


def pair(masks: list[str], maps: list[str], **options: object) -> Pairing:
    return pair_files(paths("GT", *masks), paths("maps", *maps), **options)  # type: ignore[arg-type]


def stems(items: tuple[object, ...]) -> list[str]:
    return [item.stem for item in items]  # type: ignore[attr-defined]


def test_extensions_may_differ_and_case_of_extensions_too() -> None:
    pairing = pair(["a.png", "b.PNG", "c.bmp"], ["a.jpg", "b.png", "c.JPEG"])
    assert stems(pairing.pairs) == ["a", "b", "c"]
    assert pairing.complete and pairing.suffix == ""
    assert pairing.pairs[0].mask == Path("GT/a.png") and pairing.pairs[0].map == Path("maps/a.jpg")


def test_missing_and_extra_are_never_intersected_away() -> None:
    pairing = pair(["a.png", "b.png"], ["b.png", "c.png"])
    assert (stems(pairing.pairs), stems(pairing.missing), stems(pairing.extra)) == (
        ["b"],
        ["a"],
        ["c"],
    )
    assert [(p.kind, p.file) for p in pairing.problems()] == [
        ("missing", "GT/a.png"),
        ("extra", "maps/c.png"),
    ]


@pytest.mark.parametrize("suffix", ["_sal_fuse", "_DSS", "-map", ".pred", "_a_b"])
def test_common_suffix_is_recognised_and_reported(suffix: str) -> None:
    masks = [f"{n:04}.png" for n in range(20)]
    pairing = pair(masks, [f"{n:04}{suffix}.png" for n in range(20)])
    assert (pairing.suffix, len(pairing.pairs), pairing.complete) == (suffix, 20, True)


def test_suffix_shared_digits_are_not_part_of_it() -> None:
    pairing = pair(["0010.png", "0020.png"], ["0010_FT.png", "0020_FT.png"])
    assert (pairing.suffix, pairing.complete) == ("_FT", True)


def test_suffix_carried_by_nearly_every_map() -> None:
    masks = [f"{n}.png" for n in range(20)]
    maps = [f"{n}_x.png" for n in range(18)] + ["18.png", "note_y.png"]
    pairing = pair(masks, maps)
    assert pairing.suffix == "_x"
    assert "18" in stems(pairing.pairs)
    assert stems(pairing.missing) == ["19"]
    assert [item.path.name for item in pairing.extra] == ["note_y.png"]


def test_no_suffix_is_assumed_where_maps_of_several_methods_are_together() -> None:
    pairing = pair(["1.png", "2.png"], ["1_A.png", "2_A.png", "1_B.png", "2_B.png"])
    assert (pairing.suffix, pairing.pairs, len(pairing.missing), len(pairing.extra)) == (
        "",
        (),
        2,
        4,
    )
    assert "several methods" in pairing.hint


def test_no_suffix_where_plain_names_match_as_well() -> None:
    pairing = pair(["1.png", "2.png"], ["1.png", "2.png", "1_x.png", "2_x.png"])
    assert (pairing.suffix, len(pairing.pairs), len(pairing.extra)) == ("", 2, 2)


def test_names_that_end_like_a_suffix_are_names() -> None:
    masks = ["sun_x.png", "sun_y.png", "sun.png"]
    assert pair(masks, masks).complete
    pairing = pair(masks, ["sun_x_sal.png", "sun_y_sal.png", "sun_sal.png"])
    assert (pairing.suffix, pairing.complete) == ("_sal", True)


def test_suffix_needs_a_separator() -> None:
    pairing = pair(["1.png"], ["10.png"])
    assert (pairing.suffix, stems(pairing.missing), stems(pairing.extra)) == ("", ["1"], ["10"])


def test_zero_padding_is_not_guessed_but_pointed_out() -> None:
    pairing = pair(["0001.png", "0002.png"], ["1.png", "2.png"])
    assert pairing.pairs == () and len(pairing.missing) == len(pairing.extra) == 2
    assert "zeros" in pairing.hint and "0001" in pairing.hint
    assert "case" in pair(["Abc.png"], ["abc.png"]).hint


def test_names_that_differ_in_unicode_form_alone_are_pointed_out() -> None:
    pairing = pair(["caf\u00e9.png"], ["cafe\u0301.png"])  # NFC, NFD: they look the same
    assert pairing.pairs == () and "NFC" in pairing.hint


def test_two_files_of_one_stem() -> None:
    pairing = pair(["a.png", "b.png", "c.png", "c.jpg"], ["a.png", "a.jpg", "b.png", "c.png"])
    assert stems(pairing.pairs) == ["b"]
    assert [(item.stem, len(item.paths)) for item in pairing.ambiguous] == [("a", 2), ("c", 2)]
    assert pairing.missing == () and pairing.extra == ()
    both = pair(["a.png"], ["a_x.png", "a_x.jpg"])
    assert both.suffix == "_x" and stems(both.ambiguous) == ["a"]


def test_plain_and_suffixed_map_of_one_mask_are_ambiguous() -> None:
    masks = [f"{n}.png" for n in range(20)]
    pairing = pair(masks, [f"{n}_x.png" for n in range(20)] + ["3.png"])
    assert pairing.suffix == "_x" and stems(pairing.ambiguous) == ["3"]


def test_stems_with_dots() -> None:
    pairing = pair(["a.b.png", "a.c.png"], ["a.b.png", "a.c.jpg"])
    assert pairing.complete and pairing.suffix == ""


def test_maps_outside_a_subset_are_no_problem() -> None:
    pairing = pair(["a.png"], ["a_x.png", "b_x.png", "q_x.png"], outside_subset={"b"})
    assert pairing.suffix == "_x"
    assert [path.name for path in pairing.outside_subset] == ["b_x.png"]
    assert [item.stem for item in pairing.extra] == ["q"]


def test_mask_stems_may_be_given() -> None:
    pairing = pair_files({"a": Path("GT/a_mask.png")}, paths("maps", "a.png"))
    assert pairing.complete and pairing.pairs[0].mask == Path("GT/a_mask.png")


def test_nothing_at_all() -> None:
    assert pair([], []).complete
    assert len(pair(["a.png"], []).missing) == 1


names = st.text("ab1._-", min_size=1, max_size=5).filter(lambda s: s.strip(".") != "")


@given(st.lists(names, max_size=8), st.lists(names, max_size=8))
def test_every_file_ends_in_exactly_one_list(mask_stems: list[str], map_stems: list[str]) -> None:
    masks = sorted({Path("GT") / f"{s}.png" for s in mask_stems})
    maps = sorted({Path("maps") / f"{s}.png" for s in map_stems})
    pairing = pair_files(masks, maps)
    listed = [p.mask for p in pairing.pairs] + [p.map for p in pairing.pairs]
    listed += [item.path for item in (*pairing.missing, *pairing.extra)]
    listed += [path for item in pairing.ambiguous for path in item.paths]
    ambiguous = {item.stem for item in pairing.ambiguous}
    lone_masks = [p for p in masks if p.stem in ambiguous and p not in listed]
    assert sorted([*listed, *lone_masks]) == sorted([*masks, *maps])


@pytest.mark.real
@pytest.mark.parametrize("method", ["FT", "GC", "HC", "RC"])
def test_real_suffixes(method: str, shared: Path) -> None:
    pairing = pair_files(
        list_images(shared / "real/CSSD18/GT"), list_images(shared / f"real/preds/{method}/CSSD18")
    )
    assert (pairing.suffix, pairing.complete, len(pairing.pairs)) == (f"_{method}", True, 18)


def test_salmetric_list(tmp_path: Path) -> None:
    for folder, names in (("maps", ("a_x", "b_x")), ("GT", ("a", "b"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.png").touch()
    listing = tmp_path / "list.txt"
    listing.write_text("maps/a_x.png GT/a.png\nmaps/b_x.png GT/b.png\n")
    pairing = read_pair_list(listing)
    assert [(p.stem, p.map.name) for p in pairing.pairs] == [("a", "a_x.png"), ("b", "b_x.png")]
    listing.write_text("maps/a_x.png GT/a.png\nmaps/b_x.png GT/a.png\nmaps/b.png GT/b.png")
    pairing = read_pair_list(listing)
    assert (
        not pairing.pairs and stems(pairing.ambiguous) == ["a"] and stems(pairing.missing) == ["b"]
    )
    for content, expected in (("\n\nmaps/a.png\n", "line 3"), (" \n", "names no pairs")):
        listing.write_text(content)
        with pytest.raises(SodbenchError, match=expected):
            read_pair_list(listing)


# ----------------------------------------------------------------------------------- lists, as users write them


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    """Maps and masks whose names hold spaces, one name the start of another."""
    for folder in ("my maps", "my masks"):
        (tmp_path / folder).mkdir()
        for name in ("cat", "cat 2", "dog"):
            (tmp_path / folder / f"{name}.png").touch()
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "my maps/cat 2.png my masks/cat 2.png",
        "my maps/cat 2.png\tmy masks/cat 2.png",
        '"my maps/cat 2.png" "my masks/cat 2.png"',
        "my maps\\cat 2.png my masks\\cat 2.png",
        "my maps\\cat 2.png\tmy masks\\cat 2.png",
    ],
)
def test_pair_lists_hold_names_with_spaces(line: str, cats: Path) -> None:
    (cats / "pairs.txt").write_text(f"# map mask\n\n{line}\n")
    pairing = read_pair_list(cats / "pairs.txt")
    (one,) = pairing.pairs
    assert (one.map, one.mask) == (cats / "my maps/cat 2.png", cats / "my masks/cat 2.png")


def test_a_missing_map_with_a_space_is_missing(cats: Path) -> None:
    (cats / "pairs.txt").write_text("my maps/gone 2.png my masks/cat 2.png\n")
    (item,) = read_pair_list(cats / "pairs.txt").missing
    assert item.path == cats / "my masks/cat 2.png"
    assert f"{cats}/my maps/gone 2.png is named in" in item.reason


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a b c", r"line 1: 'a b c' can be read in 2 ways; separate map and mask by a tab"),
        ("my maps/cat 9.png my masks/cat 9.png", r"line 1: expected 'map.png mask.png'.*by a tab"),
        ("D:\\maps\\x.png D:\\masks\\x.png", "written on Windows"),
        ("one.png", "line 1: expected"),
    ],
)
def test_pair_lists_that_could_mean_several_things_are_refused(
    line: str, message: str, cats: Path
) -> None:
    for name in ("a", "b c", "a b", "c"):
        (cats / name).touch()
    (cats / "pairs.txt").write_text(line)
    with pytest.raises(SodbenchError, match=f"(?s){message}"):
        read_pair_list(cats / "pairs.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_written_on_windows(encoding: str, cats: Path) -> None:
    text = "my maps\\dog.png my masks\\dog.png\r\n\r\nmy maps\\cat.png my masks\\cat.png\r\n"
    (cats / "pairs.txt").write_bytes(text.encode(encoding))
    assert stems(read_pair_list(cats / "pairs.txt").pairs) == ["dog", "cat"]
    (cats / "items.txt").write_bytes("imgs\\dog.jpg\r\nimgs\\cat.jpg\r\n".encode(encoding))
    assert read_stem_list(cats / "items.txt", {"dog", "cat"}) == ("dog", "cat")
    (cats / "items.txt").write_bytes("caf\u00e9.png\n".encode("latin-1"))
    with pytest.raises(SodbenchError, match="save it as UTF-8"):
        read_stem_list(cats / "items.txt", set())


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("dog", "dog"),
        ("dog.png", "dog"),
        ("imgs/dog.jpg gt/dog.png", "dog"),
        ("dog.jpg cat.png", "dog"),
        ("imgs/dog.jpg gt/cat.png", "dog"),
        ("dog.jpg\tcat 2.png", "dog"),
        ('"cat 2.png"', "cat 2"),
        ("cat 2.png\tanything", "cat 2"),
        ("old 2.png", "old 2"),
        ("bird 2.png", "bird 2"),
        ("bird.jpg bird.png", "bird"),
        ("#5.png", "#5"),
        ("my imgs/old 2.jpg", "old 2"),
    ],
)
def test_items_with_spaces_in_a_list(line: str, stem: str, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text(f"# a comment\n{line}\n")
    items = {"dog", "cat", "cat 2", "old 2", "#5"}
    assert read_stem_list(tmp_path / "items.txt", items) == (stem,)


@pytest.mark.parametrize("line", ["cat 2.png", "cat 2", "cat 9.png", "cat 9"])
def test_a_line_that_could_name_another_item_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text(f"dog\n{line}\n")
    with pytest.raises(SodbenchError, match=f"line 2: '{line}' is one name .*double quotes"):
        read_stem_list(tmp_path / "items.txt", {"dog", "cat", "cat 2"})
