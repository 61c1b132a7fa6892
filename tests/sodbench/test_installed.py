"""Installed packages are found as `importlib.metadata` finds them."""

import sys
from importlib.machinery import PathFinder
from importlib.metadata import MetadataPathFinder, version

import pytest

from sodbench.installed import find_versions, has_entry_points, metadata_folders


@pytest.fixture(autouse=True)
def only_the_importers_of_python(monkeypatch):
    """As before a test imported importlib_metadata, which takes the place of Python's own finder of packages."""
    importers = [
        importer
        for importer in sys.meta_path
        if importer is PathFinder or not hasattr(importer, "find_distributions")
    ]
    monkeypatch.setattr(sys, "meta_path", importers)
    find = staticmethod(MetadataPathFinder.find_distributions)
    monkeypatch.setattr(PathFinder, "find_distributions", find, raising=False)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on sys.path, before all others."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def describe(folder, version="1.0", entries=""):
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: x\nVersion: {version}\n\nText")
    (folder / "entry_points.txt").write_text(entries)


def test_versions_are_those_of_the_packages_metadata():
    names = ["numpy", "numba", "pillow"]
    assert find_versions(names) == {name: version(name) for name in names}


def test_a_package_that_is_not_there_or_there_twice_has_no_version(site):
    describe(site / "numpy-0.1.dist-info", "0.1")
    describe(site / "My.Own_thing-2.dist-info", "2")
    assert find_versions(["numpy", "no-such-package", "my-own-thing"]) == {"my-own-thing": "2"}


@pytest.mark.parametrize("name", ["x-1.0.dist-info", "x.egg-info", "x-1.0.DIST-INFO"])
def test_entry_points_of_a_group_are_seen(site, name):
    assert not has_entry_points("sodbench.nothing")
    describe(site / name, entries="[console_scripts]\nx = sodbench.nothing:main\n")
    assert not has_entry_points("sodbench.nothing")
    (site / name / "entry_points.txt").write_text("[sodbench.nothing]\nx = y\n")
    assert has_entry_points("sodbench.nothing")


@pytest.mark.parametrize("name", ["x.egg", "EGG-INFO"])
def test_eggs_are_left_to_importlib(site, name):
    (site / name).mkdir()
    assert metadata_folders() is None and has_entry_points("sodbench.nothing")
    assert find_versions(["numpy"]) == {}


def test_archives_and_importers_are_left_to_importlib(site, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(site / "nowhere.zip")])
    assert metadata_folders() is not None
    (site / "nowhere.zip").write_bytes(b"")
    assert metadata_folders() is None

    class Importer:
        def find_distributions(self):
            raise AssertionError

    monkeypatch.setattr(sys, "path", sys.path[:-1])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Importer()])
    assert metadata_folders() is None
