"""How two bundles differ: what is recorded of them, their values, and that nothing is read in vain."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat import Pickled
from disdat.context import Context
from disdat.core.bundle import CodeRef, Lineage
from disdat.errors import BadQuery, Corrupt, InvalidInput, ObjectNotFound, RefNotFound
from disdat.ops import bundles, diff, find
from disdat.ops.add import add
from disdat.ops.bundles import Birth
from disdat.ops.diff import BundleDifference
from disdat.values.difference import (
    ArrayDifference,
    Change,
    FilesDifference,
    Incomparable,
    Options,
    Replaced,
    TableDifference,
    Tolerance,
)

TABLE = pd.DataFrame({"id": [1, 2, 3], "x": [0.5, 1.5, 2.5]})


def differ(context: Context, old: object, new: object, options: Options | None = None) -> BundleDifference:
    """The difference of two versions with these values."""
    for value in (old, new):
        bundles.write(context, value, Birth("data"))
    return diff.diff(context, "data", options=options or Options())


def lose_everything(context: Context) -> None:
    """Delete every stored byte."""
    shutil.rmtree(context.home.root / "store" / "objects", ignore_errors=True)
    shutil.rmtree(context.home.root / "store" / "packs", ignore_errors=True)


VALUES = [
    1,
    "text",
    {"a": [1, 2.5, None]},
    ["x" * 50_000],
    TABLE,
    TABLE.take(np.tile([0, 1, 2], 20_000)),
    np.arange(20_000),
    {"t": TABLE, "n": [np.zeros(3)]},
    Pickled(len),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_equal_digests_are_enough_and_nothing_is_read(context: Context, value: object) -> None:
    for _ in range(2):
        bundles.write(context, value, Birth("data"))
    lose_everything(context)
    assert not diff.diff(context, "data")


def test_of_a_nested_value_only_what_differs_is_read(context: Context) -> None:
    for number in (1, 2):
        bundles.write(context, {"large": np.arange(20_000), "n": number}, Birth("data"))
    lose_everything(context)
    found = diff.diff(context, "data")
    assert [(part.place, part.difference) for part in found.value.parts] == [("['n']", Replaced(1, 2))]


def test_equal_directories_are_not_read_whatever_else_differs(context: Context) -> None:
    for number in range(300):
        path = Path(f"tree/{number % 3}/{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number), "utf-8")
    add(context, "data", ["tree"])
    add(context, "data", ["tree"], tags={"n": "2"})
    lose_everything(context)
    found = diff.diff(context, "data")
    assert not found.value
    assert found.tags == {"n": Change(None, "2")}


def test_what_is_needed_and_gone_is_an_error(context: Context) -> None:
    for value in (TABLE, TABLE * 2):
        bundles.write(context, value, Birth("data"))
    lose_everything(context)
    with pytest.raises((ObjectNotFound, Corrupt)):
        diff.diff(context, "data")


def test_a_directory_is_compared_file_by_file_however_it_is_stored(context: Context) -> None:
    Path("tree/sub").mkdir(parents=True)
    for number in range(300):
        Path(f"tree/sub/{number:03}").write_text(str(number), "utf-8")
    add(context, "data", ["tree"])
    Path("tree/sub/007").write_text("changed", "utf-8")
    Path("tree/sub/008").unlink()
    Path("tree/new").touch()
    add(context, "data", ["tree"])
    (part,) = diff.diff(context, "data").value.parts
    assert isinstance(part.difference, FilesDifference)
    assert [change.path for change in part.difference.shown] == ["new", "sub/007", "sub/008"]
    assert (part.difference.added_count, part.difference.removed_count, part.difference.changed_count) == (1, 1, 1)


def test_files_inside_a_value_are_compared_each_with_its_own(context: Context) -> None:
    for name in ("a", "b"):
        Path(name).write_text(name, "utf-8")
    Path("d/e").mkdir(parents=True)
    Path("d/e/f").write_text("1", "utf-8")
    bundles.write(context, {"x": Path("a"), "y": Path("b"), "d": Path("d")}, Birth("data"))
    Path("b").write_text("changed", "utf-8")
    Path("d/e/f").write_text("22", "utf-8")
    bundles.write(context, {"x": Path("a"), "y": Path("b"), "d": Path("d")}, Birth("data"))
    parts = diff.diff(context, "data").value.parts
    assert [part.place for part in parts] == ["['y']", "['d']"]
    shown = [part.difference.shown[0] for part in parts if isinstance(part.difference, FilesDifference)]
    assert [(each.path, each.old and each.old.size_bytes, each.new and each.new.size_bytes) for each in shown] == [
        ("b", 1, 7),
        ("e/f", 1, 2),
    ]


def test_a_file_of_another_name_is_removed_and_added(context: Context) -> None:
    for name in ("a", "b"):
        Path(name).write_text("same", "utf-8")
        bundles.write(context, Path(name), Birth("data"))
    (part,) = diff.diff(context, "data").value.parts
    assert isinstance(part.difference, FilesDifference)
    assert (part.difference.added_count, part.difference.removed_count, part.difference.changed_count) == (1, 1, 0)


def test_parts_of_every_kind_are_found_at_their_places(context: Context) -> None:
    old = {"t": TABLE, "a": [np.arange(3)], "n": 1, "same": np.zeros(3)}
    new = {"t": TABLE.assign(x=[0.5, 1.5, 9.0]), "a": [np.arange(4)], "n": 2, "same": np.zeros(3)}
    found = differ(context, old, new).value
    assert found.count == 3
    assert [(part.place, type(part.difference)) for part in found.parts] == [
        ("['t']", TableDifference),
        ("['a'][0]", ArrayDifference),
        ("['n']", Replaced),
    ]


def test_deep_values_that_are_frames_of_their_own_are_walked(context: Context) -> None:
    old: object = 1
    new: object = 2
    for _ in range(500):
        old, new = [old], [new]
    (part,) = differ(context, old, new).value.parts
    assert part.difference == Replaced(1, 2)


def test_a_limit_keeps_the_first_places_and_counts_all(context: Context) -> None:
    found = differ(context, list(range(100)), list(range(1, 101)), Options(limit=3)).value
    assert (found.count, len(found.parts)) == (100, 3)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (Pickled(len), Pickled(max), "can run code"),
        (TABLE, np.arange(3), "kinds table and array"),
        (None, None, ""),
        ([0.0], [-0.0], "how it is stored"),
    ],
)
def test_what_cannot_be_compared_says_why(context: Context, old: object, new: object, why: str) -> None:
    found = differ(context, old, new).value
    if not why:
        assert not found
        return
    (part,) = found.parts
    assert isinstance(part.difference, Incomparable)
    assert why in part.difference.why
    assert part.difference.old
    assert part.difference.new


def test_a_value_that_became_another_kind_of_thing_is_replaced(context: Context) -> None:
    (part,) = differ(context, 5, TABLE).value.parts
    assert isinstance(part.difference, Replaced)
    assert part.difference.old == 5
    assert "table" in repr(part.difference.new)


def test_within_the_tolerance_nothing_differs(context: Context) -> None:
    old = {"t": TABLE, "a": np.ones(3), "n": 1.0}
    new = {"t": TABLE.assign(x=TABLE.x + 1e-9), "a": np.ones(3) + 1e-9, "n": 1.0 + 1e-9}
    assert differ(context, old, new)
    assert not diff.diff(context, "data", options=Options(tolerance=Tolerance(absolute=1e-6)))


def test_what_is_recorded_beside_the_value_is_compared(context: Context) -> None:
    up = [bundles.write(context, value, Birth("up")) for value in (1, 1, 2)]
    code = [CodeRef(method="m", commit=commit, dirty=False) for commit in ("a" * 40, "b" * 40)]
    inputs = [(bundles.dependency("x", up[0]), bundles.dependency("gone", up[1])), (bundles.dependency("x", up[1]),)]
    for number in range(2):
        bundles.write(
            context,
            0,
            Birth(
                f"data{number}",
                tags={"same": "s", "t": str(number)},
                params={"p": str(number)},
                metrics={"loss": 0.5} if number else {},
                lineage=Lineage(code=code[number], inputs=inputs[number]),
            ),
        )
    bundles.tag(context, find.resolve(context, "data1"), set_to={"late": "1"})
    found = diff.diff(context, "data0", "data1")
    assert not found.value
    assert found.params == {"p": Change("0", "1")}
    assert found.tags == {"t": Change("0", "1"), "late": Change(None, "1")}
    assert found.metrics == {"loss": Change(None, 0.5)}
    assert found.code == {"commit": Change("a" * 40, "b" * 40)}
    assert [(each.argument, each.old and each.old.uuid, each.new and each.new.uuid) for each in found.inputs] == [
        ("x", up[0].uuid, up[1].uuid),
        ("gone", up[1].uuid, None),
    ]
    assert [each.same_content for each in found.inputs] == [True, False]


def test_a_reference_alone_means_the_version_before_it(context: Context) -> None:
    for number in range(3):
        bundles.write(context, number, Birth("data"))
    for reference, expected in (("data", (1, 2)), ("data@-1", (0, 1))):
        (part,) = diff.diff(context, reference).value.parts
        assert part.difference == Replaced(*expected)
    with pytest.raises(RefNotFound, match="has no version before it"):
        diff.diff(context, "data@-2")


def test_a_bundle_does_not_differ_from_itself(context: Context) -> None:
    bundles.write(context, TABLE, Birth("data"))
    assert not diff.diff(context, "data", "data")


def test_of_several_tables_a_key_is_for_those_that_have_it(context: Context) -> None:
    other = pd.DataFrame({"y": [1.0, 2.0]})
    found = differ(context, [TABLE, other], [TABLE[::-1], other * 2], Options(key=("id",)))
    keys = [part.difference.rows.key for part in found.value.parts if isinstance(part.difference, TableDifference)]
    assert keys == [("id",), ()]
    with pytest.raises(BadQuery, match="no column 'z'"):
        diff.diff(context, "data", options=Options(key=("z",)))


def test_a_key_that_is_not_unique_is_refused(context: Context) -> None:
    with pytest.raises(InvalidInput, match="both have id=1"):
        differ(context, TABLE.assign(id=1), TABLE, Options(key=("id",)))


def test_progress_goes_up_to_all_there_is_to_read(context: Context) -> None:
    seen: list[tuple[int, int]] = []
    for value in ({"t": TABLE, "a": np.zeros(9)}, {"t": TABLE * 2, "a": np.ones(9)}):
        bundles.write(context, value, Birth("data"))
    diff.diff(context, "data", progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({total for _, total in seen}) == 1
    assert 0 < seen[0][0] < seen[-1][0] <= seen[-1][1]


def test_damage_is_told_and_not_compared(context: Context) -> None:
    for value in (np.arange(50_000), np.arange(1, 50_001)):
        made = bundles.write(context, value, Birth("data"))
    assert made.frames[0].digest is not None
    path, _, _ = context.home.store.open_path(made.frames[0].digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(Corrupt):
        diff.diff(context, "data")
