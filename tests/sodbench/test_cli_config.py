"""Defaults from a file or the environment: where they are found, what they change, what is refused."""

import json

import pytest
from synthetic import draw_pair, save_image

from sodbench.cli import main


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A repository with maps/ and data/SOD/GT, and the working folder in it."""
    (tmp_path / ".git").mkdir()
    for seed, stem in enumerate("abc"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(tmp_path / f"maps/{stem}.png", map_)
        save_image(tmp_path / f"elsewhere/toys/GT/{stem}.png", mask)
        save_image(tmp_path / f"elsewhere/toys/images/{stem}.jpg", mask)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SODBENCH_DATA", raising=False)
    monkeypatch.delenv("SODBENCH_CONFIG", raising=False)
    return tmp_path


def run(capsys, *words):
    status = main(list(words))
    return status, capsys.readouterr()


def scored(capsys, *words):
    status, printed = run(capsys, "eval", *words, "--format", "json")
    assert status == 0, printed.err
    (result,) = json.loads(printed.out)["results"]
    return result


def test_a_file_gives_defaults_and_the_command_line_wins(folders, capsys):
    (folders / "sodbench.toml").write_text(
        'protocol = "pysodmetrics"\n[eval]\nmetrics = ["mae", "s"]\nlimit = 2\n'
    )
    result = scored(capsys, "maps", "elsewhere/toys")
    assert result["protocol"] == "pysodmetrics" and list(result["metrics"]) == ["mae", "s"]
    assert result["n"] == 2
    result = scored(capsys, "maps", "elsewhere/toys", "--protocol", "matlab", "--limit", "3")
    assert (result["protocol"], result["n"]) == ("matlab", 3)
    status, printed = run(capsys, "eval", "maps", "elsewhere/toys")
    assert status == 0
    assert "sodbench.toml: --limit 2 --protocol pysodmetrics --metrics mae s" in printed.err


def test_the_table_of_pyproject_holds_in_the_folders_below_up_to_the_repository(
    folders, capsys, monkeypatch
):
    (folders / "pyproject.toml").write_text('[tool.sodbench.eval]\nprotocol = "matlab"\n')
    (folders / "deep/er").mkdir(parents=True)
    monkeypatch.chdir(folders / "deep/er")
    assert scored(capsys, "../../maps", "../../elsewhere/toys")["protocol"] == "matlab"
    (folders / ".git").rmdir()
    assert scored(capsys, "../../maps", "../../elsewhere/toys")["protocol"] == "salmetric"


def test_the_variable_names_another_file_or_none(folders, capsys, monkeypatch):
    (folders / "sodbench.toml").write_text('protocol = "matlab"\n')
    (folders / "other.toml").write_text('protocol = "pysodmetrics"\n')
    monkeypatch.setenv("SODBENCH_CONFIG", "other.toml")
    assert scored(capsys, "maps", "elsewhere/toys")["protocol"] == "pysodmetrics"
    monkeypatch.setenv("SODBENCH_CONFIG", "")
    assert scored(capsys, "maps", "elsewhere/toys")["protocol"] == "salmetric"
    monkeypatch.setenv("SODBENCH_CONFIG", "nothing.toml")
    status, printed = run(capsys, "eval", "maps", "elsewhere/toys")
    assert status == 2 and "SODBENCH_CONFIG=nothing.toml: no such file" in printed.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("protocol = ", "sodbench.toml: cannot be read as TOML"),
        ('protcol = "all"', "no option or command is called protcol, did you mean protocol?"),
        ("[evla]\njobs = 2", "no option or command is called evla, did you mean eval?"),
        ("[eval]\nbackbone = 'x'", "no option or command is called backbone in [eval]"),
        ("[data.chek]\njobs = 2", "no option or command is called chek in [data], did you mean check?"),
        ("jobs = 0", "sodbench.toml: jobs: '0' is not a whole number of at least 1"),
        ("jobs = true", "sodbench.toml: jobs: True is not a value of this option"),
        ("force = 3", "sodbench.toml: force: 3 is neither true nor false"),
        ("eval = 5", "eval is a command; write its options below [eval]"),
        ('[eval]\noutput = ""', "output: is empty; leave it out"),
        ("[eval]\nmethods = []", "methods: is empty; leave it out"),
        ('missing = "zeros"', "missing: invalid choice: 'zeros', did you mean 'zero'?"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_by_name(folders, capsys, content, message):
    (folders / "sodbench.toml").write_text(content)
    try:
        status = main(["eval", "maps", "elsewhere/toys"])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    printed = capsys.readouterr().err
    assert message in printed and "sodbench.toml" in printed and "Traceback" not in printed
    with pytest.raises(SystemExit) as helped:
        main(["eval", "--help"])
    assert helped.value.code == 0


@pytest.mark.parametrize(
    "content", ["tool = 1 # [tool.sodbench]", "tool.sodbench = 1 # [tool.sodbench"]
)
def test_a_pyproject_without_the_table_is_refused_by_name(folders, capsys, content):
    (folders / "pyproject.toml").write_text(content)
    status, printed = run(capsys, "eval", "maps", "elsewhere/toys")
    assert status == 2 and "pyproject.toml: " in printed.err
    assert "is not a table; write [tool.sodbench]" in printed.err


def test_a_file_with_a_byte_order_mark_is_read(folders, capsys):
    (folders / "sodbench.toml").write_bytes(b'\xef\xbb\xbfprotocol = "matlab"\r\n')
    assert scored(capsys, "maps", "elsewhere/toys")["protocol"] == "matlab"


def test_a_required_option_can_be_configured(folders, capsys):
    (folders / "sodbench.toml").write_text('[predict]\noutput = "out"\nmodel = "centre-prior"\n')
    assert run(capsys, "predict", "elsewhere/toys/images")[0] == 0
    assert (folders / "out/a.png").is_file()


def test_paths_of_a_file_are_relative_to_it(folders, capsys, monkeypatch):
    (folders / "sodbench.toml").write_text('data-root = "elsewhere"\n')
    (folders / "below").mkdir()
    monkeypatch.chdir(folders / "below")
    assert scored(capsys, "../maps", "toys")["dataset"] == "toys"


def test_a_default_that_has_no_effect_in_a_call_is_no_error(folders, capsys):
    (folders / "sodbench.toml").write_text('[eval]\nsort-by = "s"\nforce = true\n')
    scored(capsys, "maps", "elsewhere/toys")
    status, printed = run(capsys, "eval", "maps", "elsewhere/toys", "--sort-by", "s")
    assert status == 2 and "--sort-by has no effect" in printed.err


@pytest.mark.usefixtures("one_figure_format")
def test_the_data_variable_is_the_root_of_all_commands(folders, capsys, monkeypatch):
    (folders / "sodbench.toml").write_text('data-root = "nowhere"\n')
    monkeypatch.setenv("SODBENCH_DATA", "elsewhere")
    assert scored(capsys, "maps", "toys")["dataset"] == "toys"
    assert "3 items" in run(capsys, "data", "check", "toys")[1].out
    command = ["run", "--datasets", "toys", "--model", "centre-prior", "--output", "out"]
    assert run(capsys, *command)[0] == 0
    # a folder that exists is what a path means, whatever the variable
    save_image(folders / "toys/a.png", draw_pair(5, 30, 40)[1])
    _, printed = run(capsys, "eval", "maps", "toys", "--missing", "skip", "--dry-run")
    assert "1 pair," in printed.out
    monkeypatch.setenv("SODBENCH_DATA", "")
    monkeypatch.setenv("SODBENCH_CONFIG", "")
    assert run(capsys, "eval", "maps", "other-toys")[0] == 2


def test_config_shows_the_defaults_and_where_they_are_from(folders, capsys, monkeypatch):
    status, printed = run(capsys, "config")
    assert status == 0 and printed.out.startswith("file: none (sodbench.toml")
    (folders / "sodbench.toml").write_text("jobs = 2\n[data.check]\nquiet = true\n")
    monkeypatch.setenv("SODBENCH_DATA", "elsewhere")
    status, printed = run(capsys, "config")
    assert status == 0 and f"file: {folders / 'sodbench.toml'}" in printed.out
    assert "environment: SODBENCH_DATA=elsewhere" in printed.out
    shown = json.loads(run(capsys, "config", "--format", "json")[1].out)
    settings = {(s["command"], s["option"]): s["values"] for s in shown["settings"]}
    assert settings["eval", "--jobs"] == ["2"] and settings["data check", "--quiet"] == []
    assert shown["environment"]["SODBENCH_DATA"] == "elsewhere"
    (folders / "sodbench.toml").write_text("jobs = 0\n")
    status, printed = run(capsys, "config")
    assert status == 2 and "jobs: '0' is not a whole number" in printed.err


@pytest.mark.usefixtures("one_figure_format")
def test_the_report_states_the_command_with_the_defaults(folders, capsys, monkeypatch):
    (folders / "sodbench.toml").write_text('[report]\ntitle = "Ours"\n')
    assert run(capsys, "eval", "maps", "elsewhere/toys", "-o", "out")[0] == 0
    monkeypatch.setattr("sys.argv", ["sodbench", "report", "out", "-o", "report.md"])
    assert run(capsys, "report", "out", "-o", "report.md")[0] == 0
    assert "sodbench report out -o report.md --title Ours" in (folders / "report.md").read_text()


def test_an_option_that_can_be_turned_off_is_turned_off(folders, capsys):
    (folders / "sodbench.toml").write_text("[predict]\npadding = false\n[bench]\npadding = true\n")
    shown = json.loads(run(capsys, "config", "--format", "json")[1].out)["settings"]
    assert [(s["command"], s["option"]) for s in shown] == [
        ("predict", "--no-padding"),
        ("bench", "--padding"),
    ]
