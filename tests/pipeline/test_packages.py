"""Installed packages by the names they are imported by."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from disdat.pipeline import packages


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages, the only one there is."""
    directory = tmp_path / "site-packages"
    directory.mkdir()
    monkeypatch.setattr(sys, "path", [str(directory), str(tmp_path / "missing.zip")])
    return directory


def install(site: Path, info: str, *, record: str = "", top_level: str = "") -> None:
    directory = site / info
    directory.mkdir()
    if record:
        (directory / "RECORD").write_text(record)
    if top_level:
        (directory / "top_level.txt").write_text(top_level)


def test_a_package_is_mostly_named_as_what_it_brings(site: Path):
    install(site, "My_Package-1.2.dist-info")
    (site / "my_package").mkdir()
    assert packages.versions("my_package") == {"my-package": "1.2"}


@pytest.mark.parametrize(
    "listed",
    [
        {"record": "sklearn/__init__.py,sha256=x,1\n"},
        {"top_level": "other\nsklearn\n"},
        {"record": "sklearn.py,sha256=x,1\n"},
        {"record": "sklearn.cpython-311-x86_64-linux-gnu.so,sha256=x,1\n"},
    ],
)
def test_of_one_with_another_name_its_own_list_tells(site: Path, listed: dict[str, str]):
    install(site, "scikit_learn-1.5.dist-info", **listed)
    install(site, "sklearner-9.dist-info", record="sklearner/__init__.py,,\n")
    assert packages.versions("sklearn") == {"scikit-learn": "1.5"}


def test_a_name_that_several_share_counts_with_all(site: Path):
    install(site, "google_storage-1.dist-info", record="google/storage/__init__.py,,\n")
    install(site, "google_auth-2.dist-info", record="google/auth/__init__.py,,\n")
    assert packages.versions("google") == {"google-auth": "2", "google-storage": "1"}


def test_what_no_distribution_brings_has_no_version(site: Path):
    (site / "loose.py").write_text("")
    assert packages.versions("loose") == {"loose": ""}


def test_what_is_installed_here_is_as_python_says():
    distributions = metadata.packages_distributions()
    for name in ("numpy", "pandas", "dateutil", "sklearn"):
        expected = {each.lower().replace("_", "-"): metadata.version(each) for each in distributions[name]}
        assert packages.versions(name) == expected
