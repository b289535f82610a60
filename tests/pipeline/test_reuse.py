"""The decision to run or reuse, as tables of cases."""

from __future__ import annotations

import pytest

from disdat.core import digest
from disdat.core.bundle import Dependency, TaskKey
from disdat.pipeline import identity
from disdat.pipeline.reuse import Prior, Rerun, Reuse, Run, Wanted, decide

CODE = {"policy": "closure", "digest": "blake3:1", "modules": {"tasks": "1", "helpers": "1"}}


def logical(content: str) -> digest.LogicalDigest:
    return digest.logical("literal1", digest.of_bytes(content.encode()).raw)


def given(**inputs: tuple[str, str]) -> dict[str, Dependency]:
    """Inputs by argument, each as (uuid, content)."""
    return {name: Dependency(name, uuid, logical=logical(content)) for name, (uuid, content) in inputs.items()}


def key(
    inputs: dict[str, Dependency],
    *,
    cls: str = "tasks.B",
    params: dict[str, str] | None = None,
    code: dict[str, object] | None = None,
    salt: str = "",
) -> TaskKey:
    return identity.task_key(
        cls=cls,
        params=params if params is not None else {"n": "1"},
        code=code or CODE,
        inputs={name: each.logical for name, each in inputs.items()},
        salt=salt,
    )


def prior(
    uuid: str, inputs: dict[str, Dependency], *, name: str = "B", tainted: bool = False, **parts: object
) -> Prior:
    return Prior(uuid, name, key(inputs, **parts), inputs, tainted)  # type: ignore[arg-type]


def wanted(inputs: dict[str, Dependency], *, name: str = "B", forced: str = "", **parts: object) -> Wanted:
    return Wanted(name, key(inputs, **parts), inputs, forced)  # type: ignore[arg-type]


A1 = given(a=("a-1", "one"))
A1_AGAIN = given(a=("a-2", "one"))
A2 = given(a=("a-3", "two"))
EDITED = {**CODE, "digest": "blake3:2", "modules": {"tasks": "1", "helpers": "2"}}


@pytest.mark.parametrize("rerun", ["content", "version"])
@pytest.mark.parametrize(
    ("priors", "want", "decision"),
    [
        ([], wanted(A1), Run("no earlier result")),
        ([prior("p", A1)], wanted(A1, forced="forced"), Run("forced")),
        ([Prior("p", "B", None, {})], wanted(A1), Run("no earlier result")),
        ([prior("p", A1, name="old")], wanted(A1), Run("renamed: old -> B")),
        (
            [prior("p", A1, tainted=True)],
            wanted(A1),
            Run("tainted: the code changed while the earlier result was made"),
        ),
        ([prior("p", A1, params={"n": "3"})], wanted(A1, params={"n": "4"}), Run("parameter n: 3 -> 4")),
        ([prior("p", A1)], wanted(A1, params={"n": "1", "m": "2"}), Run("parameter m is new")),
        ([prior("p", A1)], wanted(A1, params={}), Run("parameter n is gone")),
        ([prior("p", A1)], wanted(A1, code=EDITED), Run("code of helpers changed")),
        (
            [prior("p", A1, code={"policy": "manual", "version": "1"})],
            wanted(A1, code={"policy": "manual", "version": "2"}),
            Run("code version 1 -> 2"),
        ),
        (
            [prior("p", A1, code={"policy": "none"})],
            wanted(A1),
            Run("code counts by closure, not by none"),
        ),
        ([prior("p", A1)], wanted(A1, salt="again"), Run("another salt")),
        ([prior("p", {})], wanted(A1), Run("input a is new")),
        ([prior("p", A1)], wanted({}), Run("input a is gone")),
        ([prior("p", A1, cls="other.B")], wanted(A1), Run("no earlier result")),
    ],
)
def test_what_is_no_hit_says_why(priors: list[Prior], want: Wanted, decision: Run, rerun: Rerun):
    assert decide(priors, want, rerun=rerun) == decision


@pytest.mark.parametrize(
    ("rerun", "priors", "want", "reused"),
    [
        ("content", [prior("p", A1)], wanted(A1), "p"),
        ("version", [prior("p", A1)], wanted(A1), "p"),
        # An input that was made again with equal content.
        ("content", [prior("p", A1)], wanted(A1_AGAIN), "p"),
        ("version", [prior("p", A1)], wanted(A1_AGAIN), None),
        ("content", [prior("p", A1)], wanted(A2), None),
        ("version", [prior("p", A1)], wanted(A2), None),
        # Back to what was before the latest result.
        ("content", [prior("new", A1, code=EDITED), prior("old", A1)], wanted(A1), "old"),
        ("version", [prior("new", A1, code=EDITED), prior("old", A1)], wanted(A1), None),
        ("content", [prior("new", A2), prior("old", A1)], wanted(A1), "old"),
        ("version", [prior("new", A2), prior("old", A1)], wanted(A1), None),
        # Of several hits the newest that is not tainted and has the name.
        ("content", [prior("new", A1), prior("old", A1)], wanted(A1), "new"),
        ("content", [prior("new", A1, tainted=True), prior("old", A1)], wanted(A1), "old"),
        ("content", [prior("new", A1, name="x"), prior("old", A1)], wanted(A1), "old"),
        ("version", [prior("new", A1, name="x"), prior("old", A1)], wanted(A1), "old"),
        # The lineage that counts is that of the bundle with the wanted name.
        ("version", [prior("new", A2, name="x"), prior("old", A1)], wanted(A1), "old"),
        ("version", [prior("new", A1, name="x"), prior("old", A2)], wanted(A1), None),
        # A class of that name in another module is another class.
        ("version", [prior("new", A1, cls="other.B"), prior("old", A1)], wanted(A1), "old"),
    ],
)
def test_which_earlier_result_is_reused(rerun: Rerun, priors: list[Prior], want: Wanted, reused: str | None):
    decision = decide(priors, want, rerun=rerun)
    assert (decision.uuid if isinstance(decision, Reuse) else None) == reused


def test_a_changed_input_is_named_with_what_it_was_and_is():
    by_content = decide([prior("p", A1)], wanted(A2), rerun="content")
    old, new = (str(each["a"].logical).rpartition(":")[2][:8] for each in (A1, A2))
    assert by_content == Run(f"input a has other content: {old} -> {new}")
    by_version = decide([prior("p", A1)], wanted(A2), rerun="version")
    assert by_version == Run("input a has another version: a-1 -> a-3")


def test_every_difference_is_told():
    decision = decide([prior("p", A1, name="x")], wanted(A1, params={"n": "2"}, code=EDITED), rerun="content")
    assert decision == Run("renamed: x -> B; parameter n: 1 -> 2; code of helpers changed")


def test_a_result_of_another_key_algorithm_is_no_hit():
    old = prior("p", A1)
    assert old.key is not None
    other = TaskKey("key0", old.key.digest, old.key.components)
    assert decide([Prior("p", "B", other, A1)], wanted(A1), rerun="content") == Run("no earlier result")
