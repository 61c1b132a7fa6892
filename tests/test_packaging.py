"""The package list in pyproject.toml names every package in the tree."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sodbench

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    cfg = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = set()
    for name, folder in cfg["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            rel = init.parent.relative_to(ROOT / folder)
            if init.resolve().is_relative_to((ROOT / folder).resolve()):
                folders.add(".".join((name, *rel.parts)))
    assert folders == set(cfg["packages"])


def test_a_checkout_without_symbolic_links_works(tmp_path):
    """As git makes it on Windows: sodbench/metrics is a text file."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    clone = ["git", "-c", "core.symlinks=false", "clone", "--quiet", "--depth", "1"]
    subprocess.run([*clone, ROOT.as_uri(), str(tmp_path / "clone")], check=True)
    assert (tmp_path / "clone/sodbench/metrics").is_file()
    code = (
        "import sodbench, sodbench.metrics.evaluator, sodbench.runners.evaluation.plan, sodbench.reports.report\n"
        "from sodbench.cli import main\n"
        "print(sodbench.metrics.__file__)\n"
        "main(['data', 'list', 'SOD'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "clone")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "clone/metrics/__init__.py"))
    assert "SOD" in done.stdout.splitlines()[1]


def test_the_citation_names_the_version():
    assert f"\nversion: {sodbench.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_description_on_package_indexes_has_no_link_into_the_repository(monkeypatch):
    pytest.importorskip("setuptools")
    metadata = {}
    monkeypatch.setattr("setuptools.setup", lambda **given: metadata.update(given))
    runpy.run_path(str(ROOT / "setup.py"))
    description = metadata["long_description"]
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links and all(link.startswith("https://") for link in links)
    # the names stay, and so does everything else
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files = re.findall(r"\[([^][]*)\]\((?!https:)", readme)
    assert len(files) > 10 and all(name in description for name in files)
    assert len(description.splitlines()) == len(readme.splitlines())
