"""A registry leads from a name to an object, and says what to do where it cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat.errors import AlreadyExists, NotConfigured, NotFound
from disdat.registry import Lazy, Registry

GROUP = "disdat.test_things"


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package is installed, and offers three things and a bare module under our group."""
    (tmp_path / "outsider.py").write_text("LOADED = []\nclass Thing: pass\n", encoding="utf-8")
    metadata = tmp_path / "outsider-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        f"[{GROUP}]\ntheirs = outsider:Thing\nours = outsider:Thing\nbroken = outsider:Absent\nbare = outsider\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("outsider", None)


def test_what_was_added_is_what_comes_back():
    things = Registry[list[int]]("thing")
    empty: list[int] = []
    things.add("empty", empty)
    assert things.get("empty") is empty


def test_a_lazy_name_is_imported_when_it_is_first_asked_for(tmp_path, monkeypatch):
    (tmp_path / "costly_module.py").write_text("class Inner:\n    value = 7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    things = Registry[int]("thing")
    things.add_lazy("seven", "costly_module:Inner.value")
    assert list(things) == ["seven"]
    assert "seven" in things
    assert "costly_module" not in sys.modules
    assert things.get("seven") == 7
    assert sys.modules.pop("costly_module")


@pytest.mark.parametrize("target", ["no_such_package_at_all:Thing", "os:no_such_attribute"])
def test_what_cannot_be_imported_says_how_to_make_it_importable(target):
    things = Registry[object]("executor")
    things.add_lazy("dask", target, remedy="pip install 'disdat[dask]'")
    with pytest.raises(NotConfigured, match=r"executor 'dask'.*no_such") as refused:
        things.get("dask")
    assert refused.value.hint == "pip install 'disdat[dask]'"
    assert isinstance(refused.value.__cause__, ImportError | AttributeError)


def test_an_unknown_name_is_answered_with_the_known_ones():
    things = Registry[int]("thing")
    things.add("two", 2)
    things.add("one", 1)
    with pytest.raises(NotFound, match="'three'") as refused:
        things.get("three")
    assert "one, two" in refused.value.hint


def test_a_name_is_given_once():
    things = Registry[int]("thing")
    things.add("one", 1)
    with pytest.raises(AlreadyExists, match="one"):
        things.add_lazy("one", "os:name")
    assert things.get("one") == 1


@pytest.mark.parametrize("target", ["", "os", "os:", ":name"])
def test_a_target_names_a_module_and_an_attribute(target):
    with pytest.raises(ValueError, match="module:attribute"):
        Lazy(target)


def test_other_packages_add_names_through_entry_points(outsider):
    things = Registry[type]("thing", group=GROUP)
    assert list(things) == ["broken", "ours", "theirs"]
    assert things.get("theirs").__module__ == "outsider"


def test_other_packages_never_replace_a_name_of_ours(outsider):
    things = Registry[type]("thing", group=GROUP)
    things.add("ours", int)
    assert things.get("ours") is int


def test_a_broken_package_of_others_is_named_in_the_remedy(outsider):
    with pytest.raises(NotConfigured, match="Absent") as refused:
        Registry[type]("thing", group=GROUP).get("broken")
    assert "outsider" in refused.value.hint


def test_other_packages_are_not_looked_up_for_a_name_of_ours(outsider):
    """A look-up scans every installed distribution; names of ours are asked for at every start."""
    things = Registry[int]("thing", group=GROUP)
    things.add("one", 1)
    assert "one" in things
    assert things.get("one") == 1
    assert things._offered is None
