"""Whatever goes wrong ends in a plain message and the documented exit status, never in a traceback."""

import argparse
import ast
import errno
import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from hostile import acts_on_terminal

from sodbench import parallel
from sodbench.cli import STATUSES, build_parser, main
from sodbench.errors import SodbenchError
from sodbench.images import write_grey

DOCS = Path(__file__).parents[2] / "docs"


ONE_AFTER_THE_OTHER = """
import json, sys
from sodbench.cli import main
for command in json.loads(sys.argv[1]):
    print("status", main(command))
"""
"""Several commands in one process, which saves the start of one for each."""


def through_shell(arguments, redirect, cwd, **variables):
    """Run a command with its streams redirected by a shell."""
    return python_through_shell(["-m", "sodbench", *arguments], redirect, cwd, **variables)


def commands_through_shell(commands, redirect, cwd, **variables):
    """Run commands in one process with its streams redirected; "status N" follows the output of each."""
    arguments = ["-c", ONE_AFTER_THE_OTHER, json.dumps(commands)]
    return python_through_shell(arguments, redirect, cwd, **variables)


def python_through_shell(arguments, redirect, cwd, **variables):
    command = f'exec "$@" {redirect}'
    words = ["sh", "-c", command, "sh", sys.executable, *map(str, arguments)]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=cwd, env=os.environ | variables
    )


ERRORS = [
    (SodbenchError("a.png: broken"), 2, "sodbench: error: a.png: broken"),
    (PermissionError(errno.EACCES, "Permission denied", "x/y"), 2, "x/y: Permission denied"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "z" * 300), 2, "zzz: File name too long"),
    (
        OSError(errno.ENOSPC, "No space left on device", "out"),
        2,
        "out: No space left on device; make",
    ),
    (OSError(errno.EXDEV, "Invalid link", "a", None, "b"), 2, "a -> b: Invalid link"),
    (FileNotFoundError(errno.ENOENT, "No such file", b"\xff.png"), 2, "\\udcff.png: No such file"),
    (OSError("no number"), 2, "sodbench: error: no number"),
    (MemoryError(), 2, "not enough memory; try a smaller --jobs"),
    (RuntimeError("[enforce fail] can't allocate memory: 5 bytes"), 2, "not enough memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), 2, "not enough memory"),
    (ImportError("x.so: failed to map segment", name="_imaging"), 2, "not enough memory"),
    (RuntimeError("can't start new thread"), 2, "ulimit -u"),
    (
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        2,
        "this command needs torch, which is not installed: pip install 'sodbench[models]'",
    ),
    (ModuleNotFoundError("No", name="onnxscript.x"), 2, "pip install 'sodbench[onnx]'"),
    (ModuleNotFoundError("No", name="gdown"), 2, "pip install 'sodbench[drive]'"),
    (
        ImportError("libc: cannot map", name="numpy"),
        2,
        "numpy is installed, but cannot be imported",
    ),
    (ModuleNotFoundError("No", name="sodbench.nothing"), 70, "sodbench: internal error: Module"),
    (ValueError("x\x1b[2J\ny"), 70, "internal error: ValueError: x\\x1b[2J\\ny; please report it"),
    (RecursionError("too deep"), 70, "internal error: RecursionError"),
    (KeyboardInterrupt(), 130, "sodbench: interrupted"),
    (BrokenPipeError(), 141, ""),
]


@pytest.mark.parametrize(
    ("error", "status", "words"), ERRORS, ids=[repr(e[0])[:40] for e in ERRORS]
)
def test_every_exception_ends_in_one_plain_line(error, status, words, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sodbench.datasets.find_masks", fail)
    assert main(["eval", "maps", "gt"]) == status
    printed = capsys.readouterr()
    assert words in printed.err and not printed.out
    assert printed.err.count("\n") == bool(words) and "Traceback" not in printed.err
    assert not acts_on_terminal(printed.err)


def test_the_traceback_of_an_internal_error_is_shown_on_request(monkeypatch, capsys):
    def fail(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr("sodbench.datasets.find_masks", fail)
    monkeypatch.setenv("SODBENCH_TRACEBACK", "1")
    assert main(["eval", "maps", "gt"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_the_statuses_are_documented(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert STATUSES in capsys.readouterr().out
    page = (DOCS / "evaluation.md").read_text()
    for status in (0, 1, 2, 70, 130, 141):
        assert f"| {status} |" in page and f"\n  {status} " in "\n" + STATUSES.replace(
            "exit status:", ""
        )


@pytest.mark.parametrize("moment", ["sodbench.cli.build_parser", "sodbench.console.show_messages"])
def test_ctrl_c_before_the_command_begins_is_an_interruption(moment, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, interrupted)
    assert main(["eval", "maps", "gt"]) == 130
    assert capsys.readouterr().err.startswith("sodbench: interrupted")


def test_an_interrupted_download_says_that_it_is_resumed(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sodbench.runners.data.download.download", interrupted)
    command = ["data", "download", "SOD", "--data-root", str(tmp_path), "-q"]
    assert main([*command, "--from", "http://127.0.0.1:9/SOD.zip"]) == 130
    assert (
        capsys.readouterr().err == "sodbench: interrupted; the same command resumes the download\n"
    )


CTRL_C = "os.kill(os.getpid(), signal.SIGINT)"
WITHIN_A_CALLBACK = f"""
    class Thing: pass
    thing = Thing()
    callback = weakref.ref(thing, lambda _: {CTRL_C})
    del thing
    time.sleep(3)"""


@pytest.mark.parametrize(
    "moment", [CTRL_C, WITHIN_A_CALLBACK, f"exec({CTRL_C!r})"], ids=["import", "callback", "exec"]
)
def test_a_real_ctrl_c_while_a_command_is_imported(moment):
    code = f"""
import sys, os, signal, importlib, time, weakref
from sodbench.cli import main
real = importlib.import_module
def slow(name):
    {moment.strip()}
    return real(name)
importlib.import_module = slow
sys.exit(main(['eval', 'a', 'b']))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "sodbench: interrupted\n")


BEFORE_THE_COMMAND = f"""
class Interrupting:
    def find_spec(name, *_):
        if name == "sodbench.cli":
            {CTRL_C}
sys.meta_path.insert(0, Interrupting)"""
TWICE = f"""
import sodbench.cli
explain = sodbench.cli._explain
def explain_interrupted(*arguments):
    {CTRL_C}
    return explain(*arguments)
sodbench.cli._explain = explain_interrupted
sodbench.cli.build_parser = lambda _: {CTRL_C}"""
# after the command's own functions that Python calls at its end, and before them
AT_THE_END = f"""
import atexit, threading
atexit.register(lambda: {CTRL_C})
threading._register_atexit(lambda: {CTRL_C})"""
AT_THE_VERY_END = f"""
import atexit
atexit.register(lambda: {CTRL_C})"""


@pytest.mark.parametrize(
    ("moment", "status", "message"),
    [
        (BEFORE_THE_COMMAND, 130, "sodbench: interrupted\n"),
        (TWICE, 130, "sodbench: interrupted\n"),
        (AT_THE_END, 0, ""),
        (AT_THE_VERY_END, 0, ""),
        (TWICE + AT_THE_END, 130, "sodbench: interrupted\n"),
    ],
    ids=["before", "twice", "end", "very end", "twice and at the end"],
)
def test_a_real_ctrl_c_around_a_command(moment, status, message):
    code = f"""
import sys, os, signal
{moment.strip()}
from sodbench.__main__ import main
sys.argv = ["sodbench", "config", "-q"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, message)


# ----------------------------------------------------------------------------------------- streams


def test_a_full_standard_output_is_one_line_and_the_results_are_kept(maps, monkeypatch, capsys):
    command = ["eval", "preds", "gt", "-o", "out"]
    done = through_shell(command, "> /dev/full", maps)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("sodbench: error: standard output: cannot be written (No space")
    assert "Exception ignored" not in done.stderr
    monkeypatch.chdir(maps)
    assert main(command) == 0 and "mae" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["eval", "--help"], ["--version"]])
def test_help_on_a_full_disk_is_one_line(arguments, tmp_path):
    done = through_shell(arguments, "> /dev/full", tmp_path, PYTHONUNBUFFERED="")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "standard output: cannot be written" in done.stderr


def test_a_closed_standard_output_is_an_error(maps):
    done = through_shell(["eval", "preds", "gt", "-o", "out"], ">&-", maps)
    assert done.returncode == 2 and "standard output: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirect", ["2>&-", "2> /dev/full", "<&- 2>&-"])
def test_results_are_printed_without_a_standard_error(maps, redirect):
    (maps / "preds/extra.png").write_bytes((maps / "preds/a.png").read_bytes())
    commands = [["eval", "preds", "gt"], ["eval", "nothing", "gt"]]
    done = commands_through_shell(commands, redirect, maps)
    scores, status_1, status_2 = done.stdout.partition("status 1\n")
    assert "mae" in scores and (status_1, status_2) == ("status 1\n", "status 2\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_is_silent(maps):
    code = "import os, sys; r, w = os.pipe(); os.dup2(w, 1); os.close(w); os.close(r)\n"
    code += f"from sodbench.cli import main; sys.exit(main(['eval', {str(maps / 'preds')!r}, {str(maps / 'gt')!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 141 and "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_that_lacks_a_letter_loses_nothing(maps, encoding):
    styles = ("table", "markdown", "csv", "json")
    commands = [["eval", "preds", "gt", "--name", "čaj 猫", "--format", style] for style in styles]
    done = commands_through_shell(commands, "", maps, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    *texts, as_json, end = done.stdout.split("status 0\n")
    assert json.loads(as_json)["results"][0]["method"] == "čaj 猫"
    assert len(texts) == 3 and all("\\u010daj \\u732b" in text for text in texts) and not end


# --------------------------------------------------------------------------- threads and modules


@pytest.fixture
def few_threads(monkeypatch):
    """Let a process start a certain number of threads at a time, and no more."""

    def allow(number):
        start, join = threading.Thread.start, threading.Thread.join
        running = []

        def limited_start(thread):
            running[:] = [t for t in running if t.is_alive()]
            if len(running) >= number:
                raise RuntimeError("can't start new thread")
            start(thread)
            running.append(thread)

        monkeypatch.setattr(threading.Thread, "start", limited_start)
        monkeypatch.setattr(threading.Thread, "join", join)

    return allow


@pytest.mark.parametrize("number", [0, 1, 3])
def test_work_is_done_by_the_threads_that_can_be_started(number, few_threads):
    few_threads(number)
    assert parallel.in_threads(lambda x: x * x, range(50), "squaring", "numbers", jobs=8) == [
        x * x for x in range(50)
    ]


@pytest.mark.parametrize("number", [0, 2])
def test_maps_are_scored_by_the_threads_that_can_be_started(number, few_threads, maps, capsys):
    command = ["eval", str(maps / "preds"), str(maps / "gt"), "--format", "json"]
    assert main([*command, "--jobs", "1"]) == 0
    alone = capsys.readouterr().out
    few_threads(number)
    assert main([*command, "--jobs", "8"]) == 0
    assert capsys.readouterr().out == alone


def test_an_error_in_a_pool_without_threads_is_raised_with_the_result(few_threads):
    few_threads(0)

    def fail():
        raise ValueError("no")

    with parallel.thread_pool(4) as pool:
        future = pool.submit(fail)
    with pytest.raises(ValueError, match="no"):
        future.result()


# ----------------------------------------------------------------------------------------- options


def commands(parser=None, words=()):
    """Every command of the command line: (its words, its parser)."""
    parser = parser or build_parser()
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield words, parser
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, (*words, name))


COMMANDS = dict(commands())
in_every_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def destinations_read(function, seen=None):
    """The attributes of ``arguments`` that a function reads, or the functions that it hands them to."""
    seen = set() if seen is None else seen
    if function in seen:
        return set()
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "arguments":
            read.add(node.attr)
        if isinstance(node, ast.Call) and any(
            getattr(a, "id", "") == "arguments" for a in node.args
        ):
            name = getattr(node.func, "id", "")
            if name == "getattr":
                read |= {a.value for a in node.args if isinstance(a, ast.Constant)}
            elif inspect.isfunction(called := function.__globals__.get(name)):
                read |= destinations_read(called, seen)
    return read


@in_every_command
def test_every_option_is_read_by_its_command(words):
    parser = COMMANDS[words]
    given = {a.dest for a in parser._actions} - {
        "help",
        "quiet",
        "verbose",
        "log_file",
        "exit_zero",
    }
    assert given - destinations_read(parser.get_default("run")) == set()


@in_every_command
def test_every_number_is_checked_where_it_is_given(words, capsys):
    for action in COMMANDS[words]._actions:
        if (
            action.nargs != 0
            and isinstance(action.type, type(main))
            and action.metavar in ("N", "K")
        ):
            for text in ("-1", "two", "1.5", ""):
                with pytest.raises(SystemExit) as stop:
                    main([*words, f"{action.option_strings[0]}={text}"])
                assert stop.value.code == 2
                message = capsys.readouterr().err
                assert action.option_strings[0] in message and "whole number" in message
        assert action.type is not int, f"{action.dest}: use a type of sodbench.cli.values"


@in_every_command
def test_an_empty_value_is_refused(words, capsys):
    """What a shell makes of "$UNSET" would mean the current folder, no output, or all methods."""
    for action in COMMANDS[words]._actions:
        if action.nargs == 0 or action.choices or not action.option_strings:
            continue
        if action.dest in ("title", "changes"):
            continue
        with pytest.raises(SystemExit) as stop:
            main([*words, action.option_strings[-1], ""])
        assert stop.value.code == 2
        assert action.option_strings[-1] in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["eval", "", "gt"], ["eval", "maps", ""], ["predict", ""]])
def test_an_empty_folder_name_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "-o", "out"])
    assert stop.value.code == 2 and "is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        ("eval maps gt --no-wf", "--no-wf is called --no-weighted-f now"),
        ("eval maps gt --list=x", "--list is called --pairs or --items now"),
        ("run SOD --list x", "--list is called --items now"),
        ("eval maps gt --trust-folders", "--trust-folders is called --allow-swapped now"),
        ("eval maps gt --worst 3", "--worst is called --show-worst now"),
        ("eval maps gt --worst-by s", "--worst-by is called --sort-by now"),
        ("report r -o x --pictures best", "--pictures is called --images now"),
        ("train -o r --best-by s", "--best-by is called --monitor now"),
        ("train -o r --skip-bad", "--skip-bad is called --skip-invalid now"),
        ("train -o r --workers 1", "--workers is called --jobs now"),
        ("eval maps gt --protocl all", "did you mean --protocol?"),
        ("data check --data-rot x", "did you mean --data-root?"),
    ],
)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(words, suggestion, capsys):
    with pytest.raises(SystemExit):
        main(words.split())
    *usage, line = capsys.readouterr().err.splitlines()
    command = "sodbench data check" if words.startswith("data") else f"sodbench {words.split()[0]}"
    assert usage[0].startswith(f"usage: {command} ")
    assert line.startswith(f"{command}: error: unrecognized arguments: ")
    assert line.endswith(f"({suggestion})")


def test_an_argument_too_many_is_refused_without_a_suggestion(capsys):
    with pytest.raises(SystemExit):
        main(["merge", "a", "-o", "b", "--zzz", "-y"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --zzz -y\n")


def test_a_refused_argument_is_printed_escaped(capsys):
    with pytest.raises(SystemExit):
        main(["eval", "a", "b", "c\x1b[31m\nd"])
    assert not acts_on_terminal(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["eval", "preds", "gt", "--sort-by", "f_max"],
            "--sort-by has no effect without --show-worst",
        ),
        (["eval", "preds", "gt", "--force"], "--force has no effect without -o"),
        (["train", "-o", "run", "--monitor", "mae"], "--monitor has no effect without"),
        (["eval", "--pairs", "l.txt", "--methods", "A"], "--methods has no effect with --pairs"),
        (["eval", "--pairs", "l.txt", "--datasets", "A"], "--datasets has no effect with --pairs"),
        (
            ["eval", "--pairs", "l.txt", "--data-root", "A"],
            "--data-root has no effect with --pairs",
        ),
        (["run", "--sample", "--all-datasets"], "--all-datasets has no effect with --sample"),
        (["run", "--sample", "--data-root", "d"], "--data-root has no effect with --sample"),
        (["run", "--sample", "--baselines"], "--baselines has no effect with --sample"),
        (["data", "download", "--all", "SOD"], "either --all or names"),
        (["data", "list", "SOD", "--format", "markdown"], "--format markdown"),
        (["report", "r", "-o", "r.md", "--thumbnails", "3"], "--thumbnails has no effect"),
        (["report", "r", "-o", "r.md", "--colours"], "--colours has no effect"),
        (["report", "r", "-o", "r.md", "--link-images"], "--link-images has no effect"),
        (
            ["report", "r", "-o", "r.html", "--link-images"],
            "--link-images has no effect on a page in one file",
        ),
        (
            ["report", "r", "-o", "r", "--single-file", "--link-images"],
            "--link-images has no effect on a page in one file",
        ),
    ],
)
def test_an_option_without_effect_is_refused(arguments, words, maps, monkeypatch, capsys):
    monkeypatch.chdir(maps)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def stored(maps):
    """Results of two methods on one dataset."""
    (maps / "truth").mkdir()
    (maps / "gt").rename(maps / "truth/SOD")
    for method in ("A", "B"):
        for stem in ("a", "b"):
            write_grey(maps / f"tree/{method}/SOD/{stem}.png", np.eye(12, 16, dtype=np.uint8) * 255)
    assert main(["eval", str(maps / "tree"), str(maps / "truth"), "-o", str(maps / "out")]) == 0
    return maps / "out"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("predict truth/SOD -o truth/SOD --model centre-prior", "SOD: holds images, masks or maps"),
        ("export -o net.txt --model csnet-L-x1", "name a file that ends in .onnx"),
        ("report out -o r --template none.md", "--template none.md: no such file"),
        ("compare out/A out", "name the folder of one, such as "),
        ("leaderboard out -o board --date 2026-13-01", "--date '2026-13-01' is not a date"),
        ("leaderboard out -o board --since soon", "--since 'soon' is not a date"),
    ],
)
def test_a_message_names_what_is_wrong_and_where(arguments, words, stored, monkeypatch, capsys):
    monkeypatch.chdir(stored.parent)
    capsys.readouterr()
    assert main(arguments.split()) == 2
    assert words in capsys.readouterr().err


def test_a_toml_file_whose_folder_is_missing_is_named(maps, capsys):
    (maps / "set.toml").write_text('name = "mine"\nmasks = "nowhere"\n', encoding="utf-8")
    assert main(["eval", str(maps / "preds"), str(maps / "set.toml")]) == 2
    assert "set.toml: masks = 'nowhere' is no folder" in capsys.readouterr().err


def test_one_pair_and_one_map_are_singular(maps, capsys):
    (maps / "gt/b.png").unlink()
    assert main(["eval", str(maps / "preds"), str(maps / "gt"), "--dry-run"]) == 0
    assert "1 pair, 1 map without a mask" in capsys.readouterr().out


def test_weighted_f_is_not_printed_where_it_is_not_computed(maps, capsys):
    command = ["eval", str(maps / "preds"), str(maps / "gt"), "--no-weighted-f"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "wf" not in printed and "nan" not in printed


@pytest.mark.usefixtures("one_figure_format")
def test_methods_are_separated_by_commas_in_report_as_in_eval(stored, capsys):
    report = stored.parent / "report.md"
    assert main(["report", str(stored), "-o", str(report), "--methods", "B,A"]) == 0
    assert "| B" in report.read_text()


def test_merge_ends_with_the_status_of_the_whole(maps, capsys):
    write_grey(maps / "preds/a.png", np.eye(24, 32, dtype=np.uint8) * 255)  # of another size
    command = ["eval", str(maps / "preds"), str(maps / "gt")]
    parts = [str(maps / f"part{i}") for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        main([*command, "-o", part, "--shard", f"{i}/2"])
    assert main([*command, "-o", str(maps / "whole")]) == 1
    capsys.readouterr()
    assert main(["merge", *parts, "-o", str(maps / "merged"), "--quiet"]) == 1
    assert "size (1):" in capsys.readouterr().err


def test_problems_are_printed_under_quiet_and_notes_are_not(maps, capsys):
    write_grey(maps / "preds/a.png", np.eye(24, 32, dtype=np.uint8) * 255)  # a problem: resized
    write_grey(maps / "preds/b.png", np.zeros((12, 16), np.uint8))  # a note: a black map
    command = ["eval", str(maps / "preds"), str(maps / "gt")]
    assert main([*command, "--quiet"]) == 1
    quiet = capsys.readouterr().err
    assert "1 problem(s) with the files:" in quiet and "a.png" in quiet and "b.png" not in quiet
    assert main(command) == 1
    loud = capsys.readouterr().err
    assert "1 note(s) with the files:" in loud and "b.png" in loud


@pytest.mark.parametrize("compiled", [False, True])
def test_run_compiles_the_network_when_asked(compiled, maps, monkeypatch):
    for folder in ("GT", "Imgs"):
        write_grey(maps / f"data/SOD/{folder}/a.png", np.eye(9, dtype=np.uint8) * 255)
    given = []

    def load(*_, compiled, **__):
        given.append(compiled)
        raise SodbenchError("stop here")

    monkeypatch.setattr("sodbench.runners.pipeline.load_predictor", load)
    command = ["run", "--datasets", "SOD", "--data-root", str(maps / "data")]
    assert main([*command, "-o", str(maps / "out"), *["--compile"] * compiled]) == 2
    assert given == [compiled]


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
@pytest.mark.parametrize(
    ("megabytes", "expected"),
    [(200, 2), (400, 2), (420, 2), (1000, 2), (16000, 0)],
)
def test_too_little_memory_is_one_plain_line(megabytes, expected, maps):
    limit = f"ulimit -v {megabytes * 1024}; exec"
    words = [sys.executable, "-m", "sodbench", "eval", "preds", "gt", "--jobs", "2"]
    done = subprocess.run(
        ["sh", "-c", f'{limit} "$@"', "sh", *words],
        cwd=maps,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == expected, done.stderr
    assert "Traceback" not in done.stderr
    if expected:
        assert done.stderr == (
            f"sodbench: error: the address space is limited to {megabytes} MiB, and 1024 MiB are the "
            "minimum; raise the limit (ulimit -v unlimited)\n"
        )
