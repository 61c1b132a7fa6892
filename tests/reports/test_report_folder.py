"""The folder of a report: what is removed or refused, what survives a kill, and what a crafted folder cannot do."""

import json
import os
import shutil
import signal
import sys

import pytest
from synthetic import synthetic

from sodbench import processes
from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.files import atomic_write
from sodbench.images import write_image
from sodbench.reports import browser, gallery, panel_plots, plot_style
from sodbench.reports.inputs import ReportOptions
from sodbench.reports.report import write_report
from sodbench.reports.report_folder import REPORT_RECORD


@pytest.fixture
def fake_figures(monkeypatch):
    """Empty PNG files in place of figures: drawing takes time."""

    def save(figure, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(b"drawn")

    monkeypatch.setattr(plot_style, "FORMATS", ("png",))
    monkeypatch.setattr(plot_style, "save_figure", save)


def files_below(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir()}


def write(results, out, **options):
    """Write a report of one metric, unless the options name others."""
    few = {"resamples": 100, "images": ["random"], "metrics": ["mae"]}
    return write_report(results, out, ReportOptions(**{**few, **options}))


def bench_file(folder, method="a"):
    file = folder / f"bench-{method}.json"
    file.write_text(f'{{"method": "{method}", "parameters": 36500000, "images_per_second": 3}}')
    return file


def test_a_rewritten_folder_holds_nothing_of_the_earlier_report(tmp_path, fake_figures):
    first = [
        synthetic(m, d, folder=tmp_path / "data" / d.replace("/", "-"))
        for m in ("a", "b", "c")
        for d in ("SOD", "own")
    ]
    benches = [bench_file(tmp_path, m) for m in "abc"]
    out = tmp_path / "out"
    write(first, out, bench=benches, published=["icon"], baseline="a")
    notes = out / "tables" / "notes.txt"
    notes.write_text("mine")
    write([r for r in first if r.dataset == "SOD" and r.method != "c"], out)
    fresh = tmp_path / "fresh"
    write([r for r in first if r.dataset == "SOD" and r.method != "c"], fresh)
    assert set(files_below(out)) == {*files_below(fresh), "tables/notes.txt"}
    assert notes.read_text() == "mine"
    for name, path in files_below(fresh).items():
        assert path.read_bytes() == (out / name).read_bytes(), name


def test_a_rewritten_markdown_report_leaves_no_old_figures(tmp_path, fake_figures):
    results = [synthetic(m, "SOD") for m in ("a", "b")]
    out = tmp_path / "r.md"
    write(results, out, bench=[bench_file(tmp_path, m) for m in "ab"])
    assert (tmp_path / "r_figures" / "cost_parameters__M.png").is_file()
    write(results, out)
    assert not (tmp_path / "r_figures" / "cost_parameters__M.png").exists()
    assert (tmp_path / "r_figures" / "pr.png").is_file()


def test_a_filled_template_is_removed_unless_it_was_modified(tmp_path, fake_figures):
    template = tmp_path / "mine.txt.j2"
    template.write_text("{{ document.title }}")
    results, out = [synthetic("a", "SOD")], tmp_path / "out"
    write(results, out, template=template)
    assert (out / "mine.txt").is_file()
    write(results, out)
    assert not (out / "mine.txt").exists()
    write(results, out, template=template)
    (out / "mine.txt").write_text("my own words")
    write(results, out)
    assert (out / "mine.txt").read_text() == "my own words"


def test_a_file_that_no_report_wrote_is_not_replaced(tmp_path, fake_figures):
    results, out = [synthetic("a", "SOD")], tmp_path / "out"
    write(results, out)
    (out / "tables" / "cost.csv").write_text("mine")
    with pytest.raises(
        SodbenchError, match=r"cost.csv: exists and was not written by sodbench report"
    ):
        write(results, out, bench=[bench_file(tmp_path)])
    assert (out / "tables" / "cost.csv").read_text() == "mine"


def test_fewer_thumbnails_than_before_leave_none_of_the_others(tmp_path, fake_figures):
    results, out = [synthetic("a", "SOD", folder=tmp_path / "data")], tmp_path / "out"
    write(results, out)
    assert len(list((out / "thumbnails").rglob("0*"))) == 36
    write(results, out, thumbnails=3)
    assert len(list((out / "thumbnails").rglob("0*"))) == 9


# ---- kills ----------------------------------------------------------------------------------------


def killed_at(number, place, work):
    """Run ``work`` in a process that is killed at its ``number``-th event on files below a place; whether it was."""
    child = os.fork()
    if child == 0:
        left = number

        def event(name, arguments):
            nonlocal left
            writing = name in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")
            if writing and str(place) in str(arguments[0]):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(event)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("name", ["out", "r.md"])
def test_after_a_kill_at_any_event_the_same_command_works_and_leaves_no_other_file(
    name, tmp_path, monkeypatch
):
    def save(figure, folder, name):
        with atomic_write(folder / f"{name}.png") as temporary:
            temporary.write_bytes(b"drawn")

    monkeypatch.setattr(plot_style, "FORMATS", ("png",))
    monkeypatch.setattr(plot_style, "save_figure", save)
    results = [synthetic(m, "SOD", images=2, folder=tmp_path / "data") for m in "ab"]
    fresh, place = tmp_path / "fresh", tmp_path / "place"
    for folder in (fresh, place):
        folder.mkdir()
    write(results[:1], fresh / name)
    killed, number = True, 0
    while killed:
        killed = killed_at(number, place, lambda: write(results[:1], place / name))
        write(results[:1], place / name)
        assert set(files_below(place)) == set(files_below(fresh)), number
        if number % 2:  # killed while another report is replaced, or the first one is written
            write(results, place / name, baseline="a")
        else:
            shutil.rmtree(place)
            place.mkdir()
        number += 1 if number < 5 else 53
    assert number > 36


def test_two_reports_at_once_in_one_folder_are_refused(tmp_path, fake_figures, monkeypatch):
    pytest.importorskip("fcntl")
    results, out = [synthetic("a", "SOD")], tmp_path / "out"
    refused = []

    def meanwhile(*_):
        if not refused:
            with pytest.raises(
                SodbenchError, match="another process is writing a report into this folder"
            ) as error:
                write(results, out)
            refused.append(error)

    monkeypatch.setattr(plot_style, "save_figure", meanwhile)
    write(results, out)
    assert refused


# ---- crafted folders ------------------------------------------------------------------------------


def test_links_in_a_report_folder_are_not_written_through(tmp_path, fake_figures):
    results, mine = [synthetic("a", "SOD")], tmp_path / "mine"
    mine.mkdir()
    (mine / "pr.png").write_text("my plot")
    out = tmp_path / "out"
    write(results, out)
    for file in (out / "figures").iterdir():
        file.unlink()
    (out / "figures").rmdir()
    (out / "figures").symlink_to(mine)
    with pytest.raises(
        SodbenchError, match=r"figures: is a link; nothing is written through links"
    ):
        write(results, out)
    assert (mine / "pr.png").read_text() == "my plot"


def test_a_figure_replaces_a_link_and_not_its_target(tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "pr.png").symlink_to(target)
    panels = {"SOD": {"m": ([0.0, 1.0], [1.0, 0.5])}}
    figure = panel_plots.curve_panels(panels, "recall", "precision", plot_style.line_styles(["m"]))
    plot_style.save_figure(figure, tmp_path / "figures", "pr", ["png"])
    assert target.read_text() == "mine" and not (tmp_path / "figures" / "pr.png").is_symlink()


def test_a_record_that_names_files_outside_removes_none(tmp_path, fake_figures):
    results, out, mine = [synthetic("a", "SOD")], tmp_path / "out", tmp_path / "mine.txt"
    mine.write_text("mine")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a.txt").write_text("mine")
    write(results, out)
    (out / "link").symlink_to(linked)
    record = json.loads((out / REPORT_RECORD).read_text())
    names = ("../mine.txt", str(mine), "link/a.txt", "link/", "x\0y", "")
    record["files"] |= {name: [] for name in names} | {"tables": 3}
    (out / REPORT_RECORD).write_text(json.dumps(record))
    write(results, out)
    assert mine.read_text() == "mine" and (linked / "a.txt").read_text() == "mine"


def test_a_record_of_a_markdown_report_removes_no_file_next_to_it(tmp_path, fake_figures):
    results, mine = [synthetic("a", "SOD")], tmp_path / "mine.txt"
    mine.write_text("mine")
    write(results, tmp_path / "r.md")
    record = tmp_path / "r_figures" / REPORT_RECORD
    content = json.loads(record.read_text())
    content["files"] |= {"mine.txt": []}
    record.write_text(json.dumps(content))
    write(results, tmp_path / "r.md")
    assert mine.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_record_that_is_not_a_regular_file_is_refused(tmp_path, fake_figures):
    results, out = [synthetic("a", "SOD")], tmp_path / "out"
    write(results, out)
    for make in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "target")):
        (out / REPORT_RECORD).unlink()
        make(out / REPORT_RECORD)
        with pytest.raises(
            SodbenchError, match=r"\.sodbench-report: damaged, or not the record of a report"
        ):
            write(results, out)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "outside", ["{secret}", "../../secret/private.png", "x/../../../secret/private.png"]
)
def test_files_outside_the_recorded_folders_are_named_and_not_shown(
    outside, tmp_path, fake_figures, monkeypatch, capsys
):
    """A result is a folder that anyone can hand out; its table may name any file of the reader's disk."""
    import numpy as np

    secret = tmp_path / "secret" / "private.png"
    write_image(secret, np.full((20, 30, 3), (250, 10, 10), np.uint8))
    result = synthetic("a", "SOD", folder=tmp_path / "data")
    result.table.loc["im_003", ["image", "map"]] = outside.format(secret=secret)
    opened = []
    monkeypatch.setattr(
        "sodbench.reports.gallery.read_rgb",
        lambda p: opened.append(p) or np.zeros((2, 2, 3), np.uint8),
    )
    monkeypatch.setattr("sodbench.results.load_results", lambda _: [result])
    out = tmp_path / "out"
    arguments = ["report", "x", "-o", str(out), "--resamples", "100", "--images", "im_003"]
    assert main(arguments) == 1
    assert opened and not any("secret" in str(path) for path in opened)
    error = capsys.readouterr().err
    assert "a on SOD: image files (1): not opened, because scores.csv names files outside" in error
    assert "a on SOD: map files (1): not opened" in error and "private.png" in error
    assert "not opened" in (out / "report.md").read_text("utf-8")
    assert not (out / "thumbnails/SOD/image/000003.webp").exists()


def test_images_in_neighbouring_recorded_folders_are_shown(tmp_path, fake_figures):
    result = synthetic("a", "SOD", folder=tmp_path / "data")
    result.table["image"] = "../images/" + result.table["image"]
    out = tmp_path / "out"
    assert not write([result], out).problems
    assert (out / "thumbnails/SOD/image/000003.webp").is_file()


# ---- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])
def test_a_report_names_no_folder_of_its_authors_machine(kept, tmp_path, fake_figures):
    from sodbench.errors import Problem

    home = tmp_path / "home dir" / "me"
    results = [
        synthetic(
            "a",
            "SOD",
            folder=home / "data",
            problems=(Problem("extra", str(home / "data/maps/odd name.png"), f"see {home}/x.png"),),
            provenance={
                "scored_by": f"sodbench eval '{home}/data/maps' '{home}/data/masks' --name=a",
                "maps": {
                    "checkpoint": f"{home}/weights/best.pth",
                    "made_with": "C:\\\\Users\\\\me\\\\net.py",
                },
                "working_folder": str(home),
            },
        )
    ]
    (home / "data/images/3.jpg").unlink()
    command = f"sodbench report '{home}/results' -o {tmp_path}/out --bench=/opt/secret/bench.json"
    out = tmp_path / "out"
    write(results, out, images=["im_003"], command=command, with_paths=kept)
    texts = {
        name: path.read_bytes().decode("utf-8", "replace")
        for name, path in files_below(out).items()
        if not name.endswith(".jpg")
    }
    assert {"index.html", "report.md", "report.tex", "report.json", REPORT_RECORD} <= set(texts)
    naming = {
        name
        for name, text in texts.items()
        for word in (str(tmp_path), "home dir", "/opt/secret", "Users")
        if word in text
    }
    assert naming == ({"index.html", "report.md", "report.tex"} if kept else set())
    page = texts["report.md"]
    assert (
        ("odd name.png" in page)
        and "best.pth" in page
        and "net.py" in page
        and "bench.json" in page
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("206 / 0 / 94 images/s, and/or", "206 / 0 / 94 images/s, and/or"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("(/a/b/c.png), /d/e: bad", "(c.png), e: bad"),
        ("--gt=/a/b --x ~/c/d", "--gt=b --x d"),
        ("'/a b/c d.png' \"/e f/g\"", "'c d.png' \"g\""),
        ("/root one/x.png and /root one", "x.png and root one"),
        ("/root onery/x", "root onery/x"),
        ("relative/path/x.png ../y", "relative/path/x.png ../y"),
        ("C:\\a\\b.png", "b.png"),
        ("", ""),
    ],
)
def test_only_paths_are_shortened(text, expected):
    from sodbench.reports.hidden_paths import hide_paths

    assert hide_paths(text, ["/root one"]) == expected


# ---- cost -----------------------------------------------------------------------------------------


def test_a_bench_record_of_another_name_is_a_problem_and_can_be_assigned(
    tmp_path, fake_figures, monkeypatch, capsys
):
    results = [synthetic(m, "SOD") for m in ("TinyNet", "Other", "Third")]
    monkeypatch.setattr("sodbench.results.load_results", lambda _: results)
    tiny, other = bench_file(tmp_path, "my_net.py:small"), bench_file(tmp_path, "Other")
    few = ["--resamples", "100", "--images", "random", "--metrics", "mae"]
    arguments = ["report", "x", *few, "-o"]
    assert main([*arguments, str(tmp_path / "a.md"), "--bench", str(tiny), str(other)]) == 1
    error = capsys.readouterr().err
    assert "--bench: the record of 'my_net.py:small' belongs to no method of this report" in error
    assert "--bench: no record of the cost of TinyNet, Third" in error
    assert "belongs to no method" in (tmp_path / "a.md").read_text("utf-8")
    assert not (tmp_path / "a_figures" / "cost_parameters__M.png").exists()
    mapped = ["--bench", f"TinyNet={tiny}", str(other), "--methods", "TinyNet,Other"]
    assert main([*arguments, str(tmp_path / "b.md"), *mapped]) == 0
    assert "| TinyNet" in (tmp_path / "b.md").read_text("utf-8").split("**Cost**")[1]
    assert (tmp_path / "b_figures" / "cost_parameters__M.png").is_file()
    capsys.readouterr()
    assert main([*arguments, str(tmp_path / "c.md"), "--bench", f"Nobody={tiny}"]) == 2
    assert (
        "no result of the method Nobody; there are: TinyNet, Other, Third"
        in capsys.readouterr().err
    )


def test_a_bench_record_of_an_excluded_method_is_no_problem(tmp_path, fake_figures):
    results = [synthetic(m, "SOD") for m in ("a", "b")]
    files = [bench_file(tmp_path, m) for m in "ab"]
    assert not write(results, tmp_path / "r.md", methods=["a"], bench=files).problems


def test_methods_without_a_bench_record_are_reported_and_are_no_problem(
    tmp_path, fake_figures, capsys
):
    results = [synthetic(m, "SOD") for m in ("net", "centre-prior")]
    report = write(results, tmp_path / "r.md", bench=[bench_file(tmp_path, "net")])
    assert not report.problems
    assert "no record of the cost of centre-prior" in capsys.readouterr().err
    assert "no record of the cost of centre-prior" in report.page.read_text("utf-8")


def test_a_modified_result_is_refused_by_name_and_nothing_is_written(
    tmp_path, fake_figures, monkeypatch, capsys
):
    from sodbench.results import Result

    def modified(result):
        raise SodbenchError(f"results/{result.method}/counts.npz: modified since it was stored")

    results = [synthetic("a", "SOD")]
    monkeypatch.setattr("sodbench.results.load_results", lambda _: results)
    monkeypatch.setattr(Result, "counts", property(modified))
    assert main(["report", "x", "-o", str(tmp_path / "out"), "--resamples", "100"]) == 2
    assert "results/a/counts.npz: modified" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_carriage_return_in_a_name_does_not_break_a_csv_line(tmp_path, fake_figures):
    import csv

    results = [synthetic(m, "own", images=3) for m in ("a\rb", "c")]
    write(results, tmp_path / "out")
    for name in ("scores", "scores_long"):
        with (tmp_path / "out" / "tables" / f"{name}.csv").open(
            encoding="utf-8", newline=""
        ) as file:
            assert {row["method"] for row in csv.DictReader(file)} == {"a\\rb", "c"}


def test_images_of_a_list_in_another_folder_are_shown(tmp_path, fake_figures):
    """The result records the folders of the files, not that of the list: no name leads out of them."""
    import numpy as np

    lines = []
    for name in ("one/a", "two/b"):
        mask = np.zeros((30, 40), np.uint8)
        mask[5:20, 8:30] = 255
        for kind, pixels in (("maps", mask // 2), ("masks", mask)):
            write_image(tmp_path / "data" / kind / f"{name}.png", pixels)
        lines.append(" ".join(f"{tmp_path}/data/{kind}/{name}.png" for kind in ("maps", "masks")))
    listed = tmp_path / "lists" / "pairs.txt"
    listed.parent.mkdir()
    listed.write_text("\n".join(lines) + "\n")
    results, out = tmp_path / "results", tmp_path / "out"
    assert main(["eval", "--pairs", str(listed), "-o", str(results)]) == 0
    assert main(["report", str(results), "-o", str(out), "--resamples", "100"]) == 0
    assert len(list((out / "thumbnails").rglob("0*"))) == 4


# ---- thumbnails in processes ------------------------------------------------------------------------


@pytest.fixture
def in_processes(monkeypatch):
    """Thumbnails are made in copies of this process, however few there are and whatever was loaded before."""
    if sys.platform != "linux":
        pytest.skip("this system has no safe copies of processes")
    monkeypatch.setattr(browser, "_MIN_PER_PROCESS", 1)
    monkeypatch.setattr(processes, "can_fork", lambda: True)


def test_processes_write_the_thumbnails_that_threads_write(
    tmp_path, fake_figures, in_processes, monkeypatch
):
    results = [synthetic(m, "SOD", folder=tmp_path / "data", images=40) for m in ("a", "b")]
    makers = []
    make = browser._make_thumbnails
    monkeypatch.setattr(browser, "_make_thumbnails", lambda *job: makers.append(job) or make(*job))
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    write(results, tmp_path / "threads")
    assert len(makers) == 8
    monkeypatch.setattr(browser, "_make_thumbnails", make)
    monkeypatch.setattr(processes, "can_fork", lambda: True)
    monkeypatch.setattr(browser, "thread_pool", lambda *_, **__: 1 / 0)
    write(results, tmp_path / "processes")
    for name, file in files_below(tmp_path / "threads" / "thumbnails").items():
        assert (tmp_path / "processes" / "thumbnails" / name).read_bytes() == file.read_bytes()
    assert len(files_below(tmp_path / "processes" / "thumbnails")) == 4 * 41


def test_a_killed_process_is_an_error_and_the_next_report_is_whole(
    tmp_path, fake_figures, in_processes, monkeypatch
):
    results = [synthetic("a", "SOD", folder=tmp_path / "data", images=40)]
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        # the copies have it, too
        patch.setattr(gallery, "encode_webp", lambda pixels: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(SodbenchError, match="out: a process that made thumbnails was ended"):
            write(results, out)
    assert not list((out / "thumbnails").rglob("*.webp"))
    write(results, out)
    assert len(files_below(out / "thumbnails")) == 3 * 41


def test_a_thumbnail_that_cannot_be_written_is_an_error_that_names_it(
    tmp_path, fake_figures, in_processes
):
    out = tmp_path / "out"
    results = [synthetic("a", "SOD", folder=tmp_path / "data")]
    write(results, out)
    thumbnail = out / "thumbnails" / "SOD" / "mask" / "000005.jpg"
    thumbnail.unlink()
    thumbnail.mkdir()
    os.utime(thumbnail, (0, 0))  # older than its source, so it is made again
    with pytest.raises(SodbenchError, match=r"000005\.jpg: cannot be written \(Is a directory\)"):
        write(results, out)
    assert not list(out.rglob("*.tmp"))
