"""The command line as a whole: light to start, honest about errors."""

import subprocess
import sys

import pytest

from sodbench.cli import COMMANDS, main

HEAVY = ("torch", "torchvision", "pandas", "matplotlib", "scipy", "numba", "numpy")


def loaded_after(*arguments):
    """The heavy packages that a command line imports, in a process of its own."""
    code = (
        "import sys\n"
        "from sodbench.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1].split()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([c, "--help"] for c in COMMANDS)]
)
def test_help_imports_nothing_heavy(arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sodbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & set(HEAVY)


def test_eval_does_not_import_torch(tmp_path):
    import numpy as np

    from sodbench.images import write_grey

    for folder in ("maps", "gt"):
        write_grey(tmp_path / folder / "a.png", np.eye(9, dtype=np.uint8) * 255)
    loaded = loaded_after(
        "eval", str(tmp_path / "maps"), str(tmp_path / "gt"), "-o", str(tmp_path / "out")
    )
    assert "numba" in loaded and "torch" not in loaded and "torchvision" not in loaded
    loaded = loaded_after("report", str(tmp_path / "out"), "-o", str(tmp_path / "report.md"))
    assert "torch" not in loaded and (tmp_path / "report.md").exists()


def test_an_error_is_one_message_and_status_2(capsys):
    assert main(["run", "--datasets", "DUTS-TS"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("sodbench: error: ") and "did you mean DUTS-TE" in message
    assert "Traceback" not in message


def test_run_without_data_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--all-datasets"]) == 2
    message = capsys.readouterr().err
    assert "folder named ECSSD" in message and "layouts" in message
    assert "--sample" in message and "sodbench data" in message


def test_run_asks_which_data(capsys):
    assert main(["run"]) == 2
    assert "--sample" in capsys.readouterr().err


def test_an_unknown_command_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate"])
    assert stop.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
