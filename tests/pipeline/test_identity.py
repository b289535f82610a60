"""Task keys: what they are made of, and that they stay what they are."""

from __future__ import annotations

import pytest

from disdat.core import digest
from disdat.core.bundle import CodeRef, TaskKey
from disdat.pipeline import identity

ONE = digest.of_bytes(b"one")
TWO = digest.of_bytes(b"two")
VALUE = digest.logical("literal1", ONE.raw)


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


@pytest.mark.parametrize(
    ("policy", "git", "component"),
    [
        ("none", None, {"policy": "none"}),
        ("manual:2024.1", None, {"policy": "manual", "version": "2024.1"}),
        ("git", CodeRef(commit="abc", dirty=False), {"policy": "git", "commit": "abc"}),
    ],
)
def test_a_policy_without_source_leaves_the_source_out(policy: str, git: CodeRef | None, component: object):
    assert identity.code_component(policy, {"tasks": ONE}, git) == component


@pytest.mark.parametrize("git", [None, CodeRef(), CodeRef(commit="abc", dirty=True), CodeRef(commit="abc")])
def test_under_git_the_source_counts_where_the_commit_does_not_tell(git: CodeRef | None):
    one = identity.code_component("git", {"tasks": ONE}, git)
    two = identity.code_component("git", {"tasks": TWO}, git)
    assert one != two


def test_many_modules_are_not_listed_but_count():
    many = {f"m{number}": ONE for number in range(identity.MAX_LISTED_MODULES + 1)}
    component = identity.code_component("closure", many)
    assert isinstance(component, dict)
    assert "modules" not in component
    assert component != identity.code_component("closure", {**many, "m0": TWO})


def test_modules_that_come_and_go_are_named():
    old = key(code=identity.code_component("closure", {"a": ONE, "b": ONE}))
    new = key(code=identity.code_component("closure", {"a": TWO, "c": ONE}))
    assert identity.differences(old, new) == [
        "code of a changed",
        "code of b is no longer used",
        "code of c is used now",
    ]
