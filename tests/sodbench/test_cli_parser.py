"""What the command line accepts, suggests and prints about itself."""

import argparse
import json
import re
import shlex
import subprocess
import sys

import pytest
from synthetic import draw_pair, save_image

from sodbench import cli
from sodbench.cli import build_parser, command_parsers, main

COMMANDS = dict(command_parsers(build_parser()))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """maps/ and masks/ of three pairs, in the working folder toys/."""
    tmp_path = tmp_path / "toys"
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    for seed, stem in enumerate("abc"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(tmp_path / f"maps/{stem}.png", map_)
        save_image(tmp_path / f"masks/{stem}.png", mask)
    return tmp_path


def refused(capsys, *words):
    """The message for words that argparse refuses."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == 2
    return capsys.readouterr().err


# ---- suggestions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant", "prog"),
    [
        (["evla", "a", "b"], "did you mean 'eval'?", "sodbench"),
        (["data", "chekc"], "did you mean 'check'?", "sodbench data"),
        (["eval", "a", "b", "--metric", "mae", "--protcol", "all"], "mean --protocol?", "sodbench eval"),
        (["report", "results", "--ouptut", "x"], "did you mean --output?", "sodbench report"),
        (["eval", "a", "b", "--protocol", "Matlab"], "did you mean 'matlab'?", "sodbench eval"),
        (["eval", "a", "b", "--protocol", "pysod"], "did you mean 'pysodmetrics'?", "sodbench eval"),
        (["eval", "a", "b", "--format", "jsn"], "did you mean 'json'?", "sodbench eval"),
        (["eval", "a", "b", "--workers", "3"], "--workers is called --jobs now", "sodbench eval"),
    ],
)  # fmt: skip
def test_mistyped_words_are_answered_with_the_right_ones(words, meant, prog, capsys):
    message = refused(capsys, *words)
    assert meant in message and "Traceback" not in message
    # the usage is that of the command in question, on one line
    assert message.startswith(f"usage: {prog} [options] ")
    assert message.splitlines()[-1].startswith(f"{prog}: error: ")


def test_a_metric_in_other_letters_is_recognised(folders, capsys):
    assert main(["eval", "maps", "masks", "--metrics", "MAE"]) == 2
    assert "'MAE' (did you mean mae?)" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "meant"), [("ECSDD", "ECSSD"), ("dut-omrom", "DUT-OMRON")])
def test_a_mistyped_dataset_is_recognised(folders, capsys, typed, meant):
    assert main(["eval", "maps", typed]) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err
    assert main(["data", "list", typed]) == 2
    assert meant in capsys.readouterr().err


def test_help_is_a_word_too(capsys):
    for words in ([], ["data", "check"]):
        printed = []
        for form in (["help", *words], [*words, "--help"]):
            with pytest.raises(SystemExit) as stopped:
                main(form)
            assert stopped.value.code == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1] and printed[0].startswith("usage: sodbench")
    assert "did you mean 'eval'?" in refused(capsys, "help", "evla")


# ---- order of the words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["maps", "masks", "--metrics", "mae", "s"],
        ["--metrics", "mae", "s", "maps", "masks"],
        ["--metrics", "mae", "s", "maps", "masks", "--format", "json"],
        ["maps", "--metrics", "mae", "s", "masks"],
        ["--metrics", "mae,s", "--format=json", "maps", "masks"],
        ["maps", "--protocol", "salmetric", "masks", "--metrics", "mae", "s"],
    ],
)
def test_options_leave_preds_and_gt_alone(folders, capsys, words):
    assert main(["eval", *words, *(["--format", "json"] if "json" not in str(words) else [])]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert list(result["metrics"]) == ["mae", "s"] and result["n"] == 3


def test_names_that_are_no_files_stay_with_their_option(folders, capsys):
    assert main(["eval", "--metrics", "mae", "s", "e_max"]) == 2
    assert "eval needs PREDS and GT" in capsys.readouterr().err
    assert main(["eval", "--metrics", "help"]) == 0


def test_values_that_look_like_options_reach_their_option(folders, capsys):
    assert "'-1' is not a whole number of at least 1" in refused(
        capsys, "eval", "maps", "masks", "--limit", "-1"
    )
    assert main(["eval", "--limit", "2", "--", "maps", "masks"]) == 0


# ---- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_parses(name):
    text = COMMANDS[name].format_help()
    examples = re.findall(r"^  (sodbench .+?)(?:    \(.*|\s+> .*)?$", text, re.MULTILINE)
    if name == "config":  # whose example is a file
        assert "example of a sodbench.toml:" in text
        return
    assert examples, text
    for example in examples:
        build_parser().parse_args(shlex.split(example)[1:])
        assert example.startswith(f"sodbench {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_many_options_are_grouped(name):
    """No more than ten options are in one group, and the usage is short."""
    parser = COMMANDS[name]
    for group in parser._action_groups:
        options = [action for action in group._group_actions if action.option_strings]
        assert len(options) <= 10, (name, group.title)
    assert len(parser.format_usage()) < 200


def test_the_help_of_the_command_line_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    groups = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert all(f"    {name} " in printed for name in groups[0].choices)


# ---- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_and_verbose(folders, capsys, place):
    def run(option):
        words = ["eval", "maps", "masks"]
        assert main([option, *words] if place == "before" else [*words, option]) == 0
        return capsys.readouterr().err

    assert run("-q") == run("--quiet") == ""
    noted = run("--verbose")
    assert "command: sodbench" in noted and "Python " in noted and "took " in noted
    assert main(["eval", "maps", "masks", "-v", "-q"]) == 2
    assert "give either --quiet or --verbose, not both" in capsys.readouterr().err


def test_a_log_keeps_all_messages_and_the_error(folders, capsys):
    (folders / "maps/a.png").unlink()
    log = folders / "sod.log"
    command = ["eval", "maps", "masks", "--log-file", "sod.log"]
    assert main([*command, "--quiet", "--missing", "skip"]) == 1
    first = log.read_text()
    assert "INFO maps on toys: 2 pairs, 1 without a map" in first and "DEBUG command: " in first
    assert "WARNING 1 problem(s) with the files:" in first
    assert main(command) == 2
    printed = capsys.readouterr().err
    assert log.read_text().startswith(first)
    assert "ERROR " in log.read_text()[len(first) :]
    assert printed.count("sodbench: error: ") == 1
    for line in log.read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", line)


def test_a_log_never_replaces_or_extends_another_file(folders, capsys):
    before = (folders / "maps/a.png").read_bytes()
    command = ["eval", "maps", "masks", "--log-file"]
    assert main([*command, "maps/a.png"]) == 2
    assert "exists and is no log of sodbench" in capsys.readouterr().err
    assert (folders / "maps/a.png").read_bytes() == before
    assert main([*command, "nowhere/sod.log"]) == 2
    assert "--log-file nowhere/sod.log: cannot be written (No such file" in capsys.readouterr().err


def test_exit_zero_reports_problems_and_succeeds(folders, capsys):
    save_image(folders / "maps/a.png", draw_pair(0, 15, 20)[0])
    command = ["eval", "maps", "masks"]
    assert main(command) == 1
    assert main([*command, "--exit-zero"]) == 0
    assert main([*command, "--exit-zero", "--require", "mae<0"]) == 1
    assert "problem(s) with the files" in capsys.readouterr().err
    (folders / "maps/b.png").unlink()
    assert main([*command, "--exit-zero"]) == 2


def test_the_traceback_of_an_internal_error_is_shown_and_kept_by_verbose(
    folders, monkeypatch, capsys
):
    def fail(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr("sodbench.datasets.find_masks", fail)
    assert main(["eval", "maps", "masks", "-v", "--log-file", "sod.log"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert "Traceback (most recent call last)" in (folders / "sod.log").read_text()


# ---- dry run --------------------------------------------------------------------------------------


def test_a_dry_run_answers_on_standard_output(folders, capsys):
    (folders / "maps/a.png").unlink()
    assert main(["eval", "maps", "masks", "--dry-run"]) == 0
    assert capsys.readouterr().out == "maps on toys: 2 pairs, 1 without a map\n"
    assert main(["eval", "maps", "masks", "--dry-run", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (task,) = plan["tasks"]
    assert (task["method"], task["dataset"], task["pairs"]) == ("maps", "toys", 2)
    assert task["missing"] == ["masks/a.png"] and plan["problems"] == []


# ---- completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_knows_commands_and_options(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "eval" in script and "--show-worst" in script


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["ev"], "eval"),
        (["eval", "--prot"], "--protocol"),
        (["eval", "maps", "masks", "--protocol", "pys"], "pysodmetrics"),
        (["eval", "--metrics", "mae", "s_obj"], "s_object"),
        (["eval", "--log-file", "scr"], "script"),
    ],
)
def test_bash_completes_with_the_script(words, completed, tmp_path, capsys):
    if sys.platform == "win32":
        pytest.skip("no bash")
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    code = (
        f"source ./script; COMP_WORDS=(sodbench {' '.join(words)}); COMP_CWORD={len(words)}\n"
        "$(complete -p sodbench | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == completed


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["eval", "maps", "gt"], 1),
        (["-q", "--verbose", "data", "check"], 1),
        (["--log-file", "eval", "report"], len(cli.COMMANDS)),
        (["eva"], len(cli.COMMANDS)),
        (["--help"], len(cli.COMMANDS)),
        ([], len(cli.COMMANDS)),
    ],
)
def test_only_the_options_of_the_given_command_are_declared(words, known, monkeypatch):
    built = []

    def build(names):
        built.append(names)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", build)
    assert main(words) == 130
    assert len(built) == 1 and len(built[0]) == known
