"""What a checkout decides: nothing of the user's is written over or deleted, and the rest becomes what is wanted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import digest
from disdat.core.tree import Entry
from disdat.store import checkout
from disdat.store.checkout import Obstacle, Plan, decide
from disdat.store.found import Foreign, Found

A, B, C = (Entry(digest.of_bytes(text), 1) for text in (b"a", b"b", b"c"))
A_RUN = Entry(A.digest, 1, executable=True)

CASES: list[tuple[str, Entry | None, Entry | None, Found | None, str]] = [
    ("nothing is there", None, A, None, "write"),
    ("it was deleted", A, A, None, "write"),
    ("it is right", A, A, A, "keep"),
    ("it was right before", None, A, A, "keep"),
    ("it is as we wrote it", A, B, A, "replace"),
    ("it can be executed now", A, B, A_RUN, "was changed"),
    ("it is to be executable", A, A_RUN, A, "replace"),
    ("it was changed", A, B, C, "was changed"),
    ("it was changed, the bundle was not", A, A, C, "was changed"),
    ("it was changed to what nobody knows", A, B, Foreign.OTHER, "was changed"),
    ("it was changed to what is wanted", A, B, B, "keep"),
    ("it was there before", None, A, C, "was there before"),
    ("it was there before, as nobody knows it", None, A, Foreign.OTHER, "was there before"),
    ("it became a link", A, A, Foreign.LINK, "is a symbolic link"),
    ("it became a directory", A, B, Foreign.DIRECTORY, "is a directory"),
    ("it became a pipe", A, B, Foreign.SPECIAL, "is no regular file"),
    ("it is not wanted any more", A, None, A, "delete"),
    ("it was changed and is not wanted any more", A, None, B, "was changed"),
    ("it was deleted and is not wanted any more", A, None, None, ""),
    ("it is the user's and not wanted", None, None, A, ""),
]


@pytest.mark.parametrize(("what", "base", "wanted", "found", "then"), CASES, ids=[case[0] for case in CASES])
def test_a_path_is_decided_by_what_was_written_what_is_wanted_and_what_is_found(
    what: str, base: Entry | None, wanted: Entry | None, found: Found | None, then: str
) -> None:
    plan = decide(
        {} if base is None else {"p": base},
        {} if wanted is None else {"p": wanted},
        {} if found is None else {"p": found},
    )
    done = {
        name: paths
        for name, paths in (
            ("write", plan.write),
            ("replace", plan.replace),
            ("delete", plan.delete),
            ("keep", plan.keep),
        )
        if paths
    }
    assert done == ({then: ("p",)} if then in {"write", "replace", "delete", "keep"} else {})
    assert [obstacle.why for obstacle in plan.obstacles] == ([then] if then and not done else [])
    assert plan.changes == (then in {"write", "replace", "delete"})


def test_a_file_in_the_place_of_a_directory_is_deleted_if_it_is_ours() -> None:
    ours = decide({"d": A}, {"d/f": B}, {"d": A})
    assert (ours.delete, ours.write, ours.obstacles) == (("d",), ("d/f",), ())
    assert checkout.in_order(ours, {"d/f": B}) == (("d",), ())
    theirs_there: list[Found] = [A, Foreign.OTHER, Foreign.LINK]
    for found in theirs_there:
        theirs = decide({}, {"d/f": B}, {"d": found})
        assert [obstacle.path for obstacle in theirs.obstacles] == ["d"]
    assert decide({}, {"d/f": B}, {"e": A}).obstacles == ()


def test_what_is_in_the_place_of_something_else_is_deleted_first() -> None:
    wanted = {"a": A, "d/f": B}
    plan = decide({"a/x": A, "d": B, "gone": C}, wanted, {"a/x": A, "d": B, "gone": C})
    assert checkout.in_order(plan, wanted) == (("a/x", "d"), ("gone",))


def test_by_force_all_is_done_but_to_delete_a_directory_of_the_users() -> None:
    wanted = {"a": A, "b": A, "c": A, "d/f": A}
    found: dict[str, Found] = {"a": B, "b": Foreign.DIRECTORY, "c": Foreign.LINK, "d": Foreign.LINK, "e": B}
    plan = decide({"e": A}, wanted, found).forced(wanted.keys())
    assert plan.replace == ("a", "c")
    assert plan.delete == ("d", "e")
    assert plan.obstacles == (Obstacle("b", "is a directory", forcible=False),)


def test_a_right_file_in_the_wrong_place_is_written_anew() -> None:
    assert decide({}, {"p": A}, {"p": A}, misplaced={"p"}) == Plan(replace=("p",))
    assert decide({}, {"p": A}, {"p": B}, misplaced={"p"}).replace == ()


names = st.sampled_from(["a", "a/b", "a/c", "b", "b/d/e", "c"])
entries = st.sampled_from([A, B, A_RUN])


def is_tree(paths: Mapping[str, object]) -> bool:
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


trees = st.dictionaries(names, entries).filter(is_tree)


@given(trees, trees, st.dictionaries(names, entries | st.sampled_from([Foreign.OTHER, Foreign.LINK])).filter(is_tree))
def test_done_to_what_is_found_it_gives_what_is_wanted_and_loses_nothing(
    base: dict[str, Entry], wanted: dict[str, Entry], found: dict[str, Found]
) -> None:
    plan = decide(base, wanted, found)
    touched = {*plan.replace, *plan.delete}
    assert all(found[path] == base[path] for path in touched), "something of the user's would be lost"
    assert all(path not in found for path in plan.write)
    assert not touched & {obstacle.path for obstacle in plan.obstacles}
    for done in (plan, plan.forced(wanted.keys())):
        if not done.obstacles:
            after = {path: seen for path, seen in found.items() if path not in done.delete}
            after |= {path: wanted[path] for path in (*done.write, *done.replace)}
            assert {path: after[path] for path in wanted} == wanted
            assert is_tree({path: seen for path, seen in after.items() if path in base or path in wanted})
            left = {path: seen for path, seen in found.items() if path not in wanted and path not in base}
            above = {path for path in left if any(other.startswith(f"{path}/") for other in wanted)}
            assert {path: after[path] for path in left.keys() - above} == {p: left[p] for p in left.keys() - above}
            assert decide(wanted, wanted, after).changes is False


def test_what_an_unfinished_checkout_wrote_is_ours() -> None:
    base, begun = {"a": A, "b": A}, {"a": B, "b": B, "c": B}
    assert checkout.believed(base, begun, {"a": B, "b": A, "c": C}) == {"a": B, "b": A}
    assert checkout.believed(base, begun, {"a": Foreign.OTHER, "c": B}) == {"a": A, "b": A, "c": B}


@pytest.mark.parametrize(
    ("scope", "chosen"),
    [((), ["a", "ab", "d/e/f", "d/g"]), (("a",), ["a"]), (("d",), ["d/e/f", "d/g"]), (("d/e", "ab"), ["ab", "d/e/f"])],
)
def test_a_scope_is_files_and_directories(scope: tuple[str, ...], chosen: list[str]) -> None:
    assert list(checkout.below(scope, ["a", "ab", "d/e/f", "d/g"])) == chosen
