"""Task keys: what they are made of, and that they stay what they are."""

from __future__ import annotations

import pytest

from disdat.core import digest
from disdat.core.bundle import CodeRef, TaskKey
from disdat.pipeline import identity, reasons
from disdat.pipeline.identity import Counted

VALUE = digest.logical("literal1", digest.of_bytes(b"one").raw)


def key(**changes: object) -> TaskKey:
    parts: dict[str, object] = {
        "cls": "pipelines.mnist.Train",
        "params": {"gamma": "0.001"},
        "code": {"policy": "manual", "version": "3"},
        "inputs": {"data": VALUE},
    }
    return identity.task_key(**{**parts, **changes})  # type: ignore[arg-type]


def test_a_key_is_pinned():
    """Another value here means that nothing made before is found again: that needs another algorithm number."""
    assert key().algorithm == "key1"
    assert key().digest == "blake3:42d784e0fcf9776941e3cb02bf02e741f54712d1afe7a3d00953f624c3204cf2"


def test_a_key_keeps_its_components_by_name():
    assert dict(key().components) == {
        "class": "pipelines.mnist.Train",
        "params": {"gamma": "0.001"},
        "code": {"policy": "manual", "version": "3"},
        "inputs": {"data": VALUE},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"cls": "pipelines.other.Train"},
        {"params": {"gamma": "0.01"}},
        {"params": {"gamma": "0.001", "extra": ""}},
        {"code": {"policy": "manual", "version": "4"}},
        {"inputs": {"other": VALUE}},
        {"inputs": {"data": None}},
        {"inputs": {}},
        {"salt": "1"},
    ],
)
def test_every_component_counts(change: dict[str, object]):
    assert key(**change).digest != key().digest


def counted(packages: dict[str, str] | None = None, **definitions: str) -> Counted:
    """Definitions of ``helpers.py``, given as name=``kind digest``."""
    found = {f"helpers.py:{name}": (text.split()[0], text.split()[1] * 32) for name, text in definitions.items()}
    return Counted(found, packages or {})


@pytest.mark.parametrize(
    ("policy", "git", "component"),
    [
        ("none", None, {"policy": "none"}),
        ("manual:2024.1", None, {"policy": "manual", "version": "2024.1"}),
        ("git", CodeRef(commit="abc", dirty=False), {"policy": "git", "commit": "abc"}),
    ],
)
def test_a_policy_without_source_leaves_the_source_out(policy: str, git: CodeRef | None, component: object):
    assert identity.code_component(policy, counted(f="function 1"), git) == component


@pytest.mark.parametrize("git", [None, CodeRef(), CodeRef(commit="abc", dirty=True), CodeRef(commit="abc")])
def test_under_git_the_source_counts_where_the_commit_does_not_tell(git: CodeRef | None):
    one = identity.code_component("git", counted(f="function 1"), git)
    two = identity.code_component("git", counted(f="function 2"), git)
    assert one != two


def test_the_component_of_a_source_is_pinned():
    found = counted({"pandas": "3.0"}, clean="function a", N="constant b")
    assert identity.code_component("closure", found) == {
        "policy": "closure",
        "digest": "blake3:b5fd67c4b416b7cc85b3b900c285ef1dcb0d0cbcacd6d7d0d9d926f5760f3626",
        "definitions": {"helpers.py:clean": "function " + "a" * 16, "helpers.py:N": "constant " + "b" * 16},
        "packages": {"pandas": "3.0"},
    }


@pytest.mark.parametrize(("in_files", "listed"), [(2, "files"), (identity.MAX_LISTED + 1, None)])
def test_many_definitions_are_not_listed_but_count(in_files: int, listed: str | None):
    def many(changed: str) -> Counted:
        names = [f"f{number % in_files}.py:n{number}" for number in range(identity.MAX_LISTED + 1)]
        return Counted({name: ("function", (changed if name == "f1.py:n1" else "1") * 32) for name in names})

    old, new = (key(code=identity.code_component("closure", many(changed))) for changed in "12")
    assert "definitions" not in dict(old.components["code"])  # type: ignore[call-overload]
    assert old.digest != new.digest
    told = ["code in f1.py changed"] if listed else ["the code changed"]
    assert [str(each) for each in reasons.differences(old, new)] == told
