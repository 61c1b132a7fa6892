"""The package list in pyproject.toml names every package in the tree."""

import tomllib
from pathlib import Path

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


def test_the_citation_names_the_version():
    assert f"\nversion: {sodbench.__version__}\n" in (ROOT / "CITATION.cff").read_text()
