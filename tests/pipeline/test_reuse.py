"""The decision to run or reuse, as tables of cases."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from disdat.core import digest
from disdat.core.bundle import Dependency, TaskKey
from disdat.pipeline import identity, reasons
from disdat.pipeline.reasons import Reason
from disdat.pipeline.reuse import Prior, Rerun, Reuse, Run, Wanted, decide

CODE = {"policy": "closure", "digest": "blake3:1", "definitions": {"helpers.py:clean": "function 1"}}
EDITED = {"policy": "closure", "digest": "blake3:2", "definitions": {"helpers.py:clean": "function 2"}}
GONE = Reason("bytes gone", "bytes gone: those of the earlier result are not to be had", "p")
OBSERVED = Reason("observed", "the tags of input a changed", "a")


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
        code=code or CODE,  # type: ignore[arg-type]
        inputs={name: each.logical for name, each in inputs.items()},
        salt=salt,
    )


def prior(
    uuid: str,
    inputs: dict[str, Dependency],
    *,
    name: str = "B",
    tainted: bool = False,
    faults: tuple[Reason, ...] = (),
    **parts: object,
) -> Prior:
    return Prior(uuid, name, key(inputs, **parts), inputs, tainted, faults)  # type: ignore[arg-type]


def wanted(inputs: dict[str, Dependency], *, name: str = "B", forced: str = "", **parts: object) -> Wanted:
    return Wanted(name, key(inputs, **parts), inputs, forced)  # type: ignore[arg-type]


A1 = given(a=("a-1", "one"))
A1_AGAIN = given(a=("a-2", "one"))
A2 = given(a=("a-3", "two"))

NO_HITS: list[tuple[list[Prior], Wanted, Reason]] = [
    ([], wanted(A1), Reason("no earlier result", "no earlier result")),
    ([prior("p", A1)], wanted(A1, forced="forced"), Reason("forced", "forced")),
    ([Prior("p", "B", None, {})], wanted(A1), Reason("no earlier result", "no earlier result")),
    ([prior("p", A1, cls="other.B")], wanted(A1), Reason("no earlier result", "no earlier result")),
    ([prior("p", A1, name="old")], wanted(A1), Reason("renamed", "renamed: old -> B", "", "old", "B")),
    (
        [prior("p", A1, tainted=True)],
        wanted(A1),
        Reason("tainted", "tainted: the code changed while the earlier result was made", "p"),
    ),
    ([prior("p", A1, faults=(GONE,))], wanted(A1), GONE),
    ([prior("p", A1, faults=(OBSERVED,))], wanted(A1), OBSERVED),
    (
        [prior("p", A1, params={"n": "3"})],
        wanted(A1, params={"n": "4"}),
        Reason("parameter", "parameter n: 3 -> 4", "n", "3", "4"),
    ),
    (
        [prior("p", A1)],
        wanted(A1, params={"n": "1", "m": "2"}),
        Reason("parameter", "parameter m is new", "m", None, "2"),
    ),
    ([prior("p", A1)], wanted(A1, params={}), Reason("parameter", "parameter n is gone", "n", "1")),
    (
        [prior("p", A1)],
        wanted(A1, code=EDITED),
        Reason("code", "function clean in helpers.py changed", "helpers.py:clean", "function 1", "function 2"),
    ),
    (
        [prior("p", A1, code={"policy": "manual", "version": "1"})],
        wanted(A1, code={"policy": "manual", "version": "2"}),
        Reason("code", "code version 1 -> 2", "version", "1", "2"),
    ),
    (
        [prior("p", A1, code={"policy": "none"})],
        wanted(A1),
        Reason("code", "code counts by closure, not by none", "policy", "none", "closure"),
    ),
    ([prior("p", A1)], wanted(A1, salt="again"), Reason("salt", "another salt", "", "", "again")),
]
"""What is no hit under either rule, and why."""

INPUTS: list[tuple[Rerun, list[Prior], Wanted, Reason]] = [
    ("content", [prior("p", {})], wanted(A1), Reason("input", "input a is new", "a", None, logical("one"))),
    ("content", [prior("p", A1)], wanted({}), Reason("input", "input a is gone", "a", logical("one"))),
    (
        "content",
        [prior("p", A1)],
        wanted(A2),
        Reason(
            "input",
            f"input a has other content: {reasons.short(logical('one'))} -> {reasons.short(logical('two'))}",
            "a",
            logical("one"),
            logical("two"),
        ),
    ),
    ("version", [prior("p", {})], wanted(A1), Reason("input", "input a is new", "a", None, "a-1")),
    ("version", [prior("p", A1)], wanted({}), Reason("input", "input a is gone", "a", "a-1")),
    (
        "version",
        [prior("p", A1)],
        wanted(A1_AGAIN),
        Reason("input", "input a has another version: a-1 -> a-2", "a", "a-1", "a-2"),
    ),
]
"""How a changed input is told: by content, or by version."""


def because(reason: Reason) -> Run:
    """A reason, with the earlier result that was compared with, where there is one."""
    return Run((reason if reason.kind in {"no earlier result", "forced"} else replace(reason, against="p"),))


@pytest.mark.parametrize("rerun", ["content", "version"])
@pytest.mark.parametrize(("priors", "want", "reason"), NO_HITS)
def test_what_is_no_hit_says_why_and_what_was_compared_with(
    priors: list[Prior], want: Wanted, reason: Reason, rerun: Rerun
):
    assert decide(priors, want, rerun=rerun) == because(reason)


@pytest.mark.parametrize(("rerun", "priors", "want", "reason"), INPUTS)
def test_a_changed_input_is_named_with_what_it_was_and_is(
    rerun: Rerun, priors: list[Prior], want: Wanted, reason: Reason
):
    assert decide(priors, want, rerun=rerun) == because(reason)


def test_every_kind_of_reason_has_its_case():
    """But for another class, of which no earlier result is compared with."""
    told = {reason.kind for *_, reason in NO_HITS} | {reason.kind for *_, reason in INPUTS}
    assert told == {*get_args(reasons.Kind)} - {"class"}


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
        # Of several hits the newest that is not tainted, has its bytes, saw what there is, and has the name.
        ("content", [prior("new", A1), prior("old", A1)], wanted(A1), "new"),
        ("content", [prior("new", A1, tainted=True), prior("old", A1)], wanted(A1), "old"),
        ("content", [prior("new", A1, faults=(GONE,)), prior("old", A1)], wanted(A1), "old"),
        ("content", [prior("new", A1, faults=(OBSERVED,)), prior("old", A1)], wanted(A1), "old"),
        ("version", [prior("new", A1, faults=(GONE,)), prior("old", A1)], wanted(A1), None),
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


def test_every_difference_is_told():
    decision = decide([prior("p", A1, name="x")], wanted(A1, params={"n": "2"}, code=EDITED), rerun="content")
    assert isinstance(decision, Run)
    assert decision.why == "renamed: x -> B; parameter n: 1 -> 2; function clean in helpers.py changed"


def test_a_result_of_another_key_algorithm_is_no_hit():
    old = prior("p", A1)
    assert old.key is not None
    other = TaskKey("key0", old.key.digest, old.key.components)
    decision = decide([Prior("p", "B", other, A1)], wanted(A1), rerun="content")
    assert decision == Run((reasons.NO_EARLIER_RESULT,))
