"""A home is made when it is first needed, and never on top of what somebody else keeps there."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from disdat.context import Context, Home, resolve
from disdat.durable import Disk
from disdat.errors import (
    AlreadyExists,
    BadName,
    ContextNotFound,
    Corrupt,
    DisdatError,
    InvalidInput,
    NotConfigured,
    PermissionDenied,
    StorageError,
    UnknownFormat,
)
from disdat.ops import bundles, contexts, gc
from disdat.ops.bundles import Birth
from disdat.testing.faults import Call, RecordingDisk, crash_states
from tests.conftest import unprivileged


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_looking_at_a_home_makes_nothing(home: Path) -> None:
    assert Home(home).context_names() == []
    assert Home(home).current_name() is None
    assert not home.exists()


def test_the_first_context_makes_the_home(home: Path) -> None:
    contexts.create(Home(home), "demo")
    assert names(home) == ["context", "format"]
    assert names(home / "context" / "demo") == ["context.json", "lock", "log", "objects"]
    marker = json.loads((home / "format").read_bytes())
    assert marker["format"] == 1
    assert marker["inode"] == (home / "format").stat().st_ino
    assert Home(home).id == marker["home"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b/c", "/etc", "a\0b", "new\nline", "back\\slash", "x" * 201]
)
def test_names_that_could_be_paths_or_be_misread_are_refused(home: Path, name: str) -> None:
    with pytest.raises(BadName):
        contexts.create(Home(home), name)
    assert not home.exists()


@pytest.mark.parametrize("name", ["mycontext", "with space", "ünï", "'; DROP TABLE bundles; --", "*", "x" * 200])
def test_other_names_are_just_names(home: Path, name: str) -> None:
    contexts.create(Home(home), name)
    assert [info.name for info in contexts.listing(Home(home))] == [name]


def test_a_name_with_a_slash_also_names_the_remote_context(home: Path) -> None:
    context = contexts.create(Home(home), "shared/mine")
    assert (context.name, context.remote_name) == ("mine", "shared")
    assert contexts.local_name("shared/mine") == "mine"


def test_a_context_is_made_once(home: Path) -> None:
    contexts.create(Home(home), "demo")
    with pytest.raises(AlreadyExists, match="'demo' already exists"):
        contexts.create(Home(home), "demo")


def test_switching_is_seen_by_other_processes(home: Path) -> None:
    for name in ("one", "two"):
        contexts.create(Home(home), name)
    Home(home).switch("two")
    assert resolve(Home(home), None).name == "two"
    assert resolve(Home(home), "one").name == "one"
    with pytest.raises(ContextNotFound, match="'three'"):
        Home(home).switch("three")
    assert Home(home).current_name() == "two"


def test_without_a_current_context_the_error_says_how_to_get_one(home: Path) -> None:
    with pytest.raises(NotConfigured, match="not in a data context") as caught:
        resolve(Home(home), None)
    assert "dsdt context NAME" in caught.value.hint
    contexts.create(Home(home), "demo")
    with pytest.raises(NotConfigured) as caught:
        resolve(Home(home), None)
    assert "dsdt switch demo" in caught.value.hint


def test_a_deleted_context_lies_in_the_trash_and_another_may_have_its_name(home: Path) -> None:
    one = Home(home)
    bundles.write(contexts.create(one, "demo"), 1, Birth("n"))
    one.switch("demo")
    trashed = contexts.delete(one, "demo")
    assert (trashed / "context.json").is_file()
    assert one.context_names() == []
    assert one.current_name() is None
    contexts.create(one, "demo")
    assert one.context("demo").catalog.latest("n") is None


def test_a_context_made_anew_by_another_process_is_not_taken_for_the_old_one(home: Path) -> None:
    one, other = Home(home), Home(home)
    bundles.write(contexts.create(one, "demo"), 1, Birth("n"))
    contexts.delete(other, "demo")
    contexts.create(other, "demo")
    assert one.context("demo").catalog.latest("n") is None


@pytest.mark.parametrize(
    "content", ["precious.txt", "fs.json", "context/c/ctxt.json", "context/c/objects/u/u_hframe.pb"]
)
def test_a_directory_of_somebody_else_is_left_alone(home: Path, content: str) -> None:
    (home / content).parent.mkdir(parents=True)
    (home / content).write_text("theirs", encoding="utf-8")
    before = sorted(home.rglob("*"))
    with pytest.raises(InvalidInput) as caught:
        Home(home)
    assert ("Disdat 0.8" in str(caught.value)) == (content != "precious.txt")
    assert "DISDAT_HOME" in caught.value.hint
    assert sorted(home.rglob("*")) == before


def test_what_an_interrupted_start_left_does_not_count_as_somebody_elses(home: Path) -> None:
    home.mkdir()
    (home / ".new-01ARZ3NDEKTSV4RRFFQ69G5FAV").write_bytes(b"half")
    contexts.create(Home(home), "demo")
    assert Home(home).context_names() == ["demo"]


def test_a_copied_home_writes_under_an_id_of_its_own(home: Path) -> None:
    original = Home(home)
    bundles.write(contexts.create(original, "demo"), 1, Birth("n"))
    copy = home.with_name("copy")
    shutil.copytree(home, copy)
    copied = Home(copy)
    bundles.write(copied.context("demo"), 2, Birth("n"))
    assert copied.id != original.id
    writers = {event.writer for event in copied.context("demo").catalog.events()}
    assert writers == {original.id, copied.id}
    assert Home(copy).id == copied.id
    assert Home(home).id == original.id


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format": 2}, UnknownFormat),
        ({"readers": ["magic"]}, UnknownFormat),
        ({"home": None, "format": "1"}, UnknownFormat),
    ],
)
def test_a_home_this_version_cannot_read_is_refused(home: Path, changes: dict[str, object], error: type) -> None:
    contexts.create(Home(home), "demo")
    marker = json.loads((home / "format").read_bytes())
    (home / "format").write_text(json.dumps(marker | changes), encoding="utf-8")
    with pytest.raises(error):
        Home(home)


def test_a_home_that_needs_another_writer_can_be_read_but_not_written(home: Path) -> None:
    bundles.write(contexts.create(Home(home), "demo"), 1, Birth("n"))
    marker = json.loads((home / "format").read_bytes())
    (home / "format").write_text(json.dumps(marker | {"writers": ["magic"]}), encoding="utf-8")
    context = Home(home).context("demo")
    row = context.catalog.latest("n")
    assert row is not None
    assert bundles.value(context, row.uuid) == 1
    with pytest.raises(UnknownFormat, match="magic"):
        bundles.write(context, 2, Birth("n"))
    assert [row.name for row in context.catalog.versions("n")] == ["n"]


def test_a_damaged_format_file_is_named(home: Path) -> None:
    contexts.create(Home(home), "demo")
    (home / "format").write_bytes(b"\xff\xfe")
    with pytest.raises(Corrupt, match="format is damaged"):
        Home(home)


def test_where_nothing_can_be_written_the_error_says_so(home: Path) -> None:
    home.mkdir()
    home.chmod(0o555)
    with unprivileged(), pytest.raises(PermissionDenied):
        contexts.create(Home(home / "below"), "demo")


def test_a_context_pickles_by_reference(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    bundles.write(context, 1, Birth("n"))
    copy = pickle.loads(pickle.dumps(context))
    assert isinstance(copy, Context)
    assert copy.catalog.latest("n") == context.catalog.latest("n")


def test_status_counts_what_is_there(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    for number in range(3):
        bundles.write(context, number, Birth(f"n{number % 2}"))
    status = contexts.status(context)
    assert (status.bundles, status.names, status.committed, status.uncommitted) == (3, 2, 0, 3)


def test_who_finds_a_home_or_a_context_can_count_on_its_directory(tmp_path: Path) -> None:
    """Its maker may be killed at any step: others then go on without making the names above durable again."""
    disk = RecordingDisk(tmp_path)
    contexts.create(Home(tmp_path / "above" / "further" / "home", disk=disk), "demo")
    home, context = "above/further/home", "above/further/home/context/demo"
    for how, marker, above in (
        ("link", f"{home}/format", {".", "above", "above/further"}),
        ("rename", context, {home, f"{home}/context"}),
    ):
        made = next(n for n, call in enumerate(disk.calls) if (call.name, call.target) == (how, marker))
        assert above <= {call.path for call in disk.calls[:made] if call.name == "sync_dir"}
    assert disk.calls[made].path in {call.path for call in disk.calls[:made] if call.name == "sync_dir"}
    assert Call("sync_dir", f"{home}/context") in disk.calls[made:]


def test_a_maker_that_is_killed_at_any_step_leaves_nothing_in_anybodys_way(home: Path, tmp_path: Path) -> None:
    contexts.create(Home(home), "other")
    shutil.copytree(home, tmp_path / "initial")
    recording = RecordingDisk(home)
    contexts.create(Home(home, disk=recording), "demo")
    for what, left in crash_states(tmp_path / "initial", recording.calls, tmp_path):
        found = Home(left)
        assert {path.name for path in (left / "context").glob("[!.]*")} in ({"other"}, {"demo", "other"}), what
        gc.plan(found, gc.Policy(0, 0))
        if "demo" not in found.context_names():
            contexts.create(found, "demo")
        assert found.context("demo").catalog.names() == [], what


@pytest.mark.parametrize("left", [[], ["log"], ["log", "objects"]], ids=str)
def test_what_a_maker_of_an_earlier_version_left_is_replaced(home: Path, left: list[str]) -> None:
    contexts.create(Home(home), "other")
    directory = home / "context" / "demo"
    for name in ["", *left]:
        (directory / name).mkdir()
    if left:
        (directory / ".new-1").write_bytes(b"")
    assert contexts.create(Home(home), "demo").catalog.names() == []
    assert {"context.json", "lock", "log", "objects"} <= set(names(directory))


def test_what_is_no_context_is_never_replaced(home: Path) -> None:
    contexts.create(Home(home), "other")
    (home / "context" / "demo").mkdir()
    (home / "context" / "demo" / "mine").write_text("text")
    with pytest.raises(StorageError, match="something else"):
        contexts.create(Home(home), "demo")
    assert names(home / "context" / "demo") == ["mine"]
    assert names(home / "context") == ["demo", "other"]


def test_a_context_that_lost_its_settings_alone_gets_new_ones(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    bundles.write(context, 1, Birth("n"))
    (context.directory / "context.json").unlink()
    assert contexts.create(Home(home), "demo").catalog.names() == ["n"]


def test_a_context_is_in_its_place_or_in_the_trash_whenever_the_power_fails(home: Path, tmp_path: Path) -> None:
    contexts.create(Home(home), "demo")
    shutil.copytree(home, tmp_path / "initial")
    disk = RecordingDisk(home)
    contexts.delete(Home(home, disk=disk), "demo")
    for what, left in crash_states(tmp_path / "initial", disk.calls, tmp_path):
        found = [*left.glob("context/demo/context.json"), *left.glob("store/trash/context-*/context.json")]
        assert found, what


class _DeletedMeanwhile(Disk):
    """Deletes the context, and makes it anew, while something is written to its log."""

    def __init__(self, home: Path) -> None:
        self.other = threading.Thread(target=self._delete, args=(Home(home),))

    def open_append(self, path: Path) -> BinaryIO:
        if path.suffix == ".log" and self.other.ident is None:
            self.other.start()
            self.other.join(0.3)
        return super().open_append(path)

    @staticmethod
    def _delete(home: Home) -> None:
        contexts.delete(home, "demo")
        contexts.create(home, "demo")


def test_a_context_is_not_deleted_under_the_hands_of_who_writes_to_it(home: Path) -> None:
    """A record meant for the one that was deleted must not get into the log of the one made in its place."""
    contexts.create(Home(home), "demo")
    disk = _DeletedMeanwhile(home)
    made = bundles.write(Home(home, disk=disk).context("demo"), 1, Birth("n"))
    disk.other.join()
    assert Home(home).context("demo").catalog.versions("n") == []
    [trashed] = (home / "store" / "trash").iterdir()
    assert made.uuid.encode() in (trashed / "log" / "00000001.log").read_bytes()


def test_processes_that_meet_in_a_copied_home_agree_on_its_new_id(home: Path) -> None:
    contexts.create(Home(home), "demo")
    shutil.copytree(home, home.with_name("copy"))
    one, other = Home(home.with_name("copy")), Home(home.with_name("copy"))
    assert one.id == other.id == one.id != Home(home).id


def test_fields_to_come_stay_in_the_marker_of_a_copied_home(home: Path) -> None:
    contexts.create(Home(home), "demo")
    marker = json.loads((home / "format").read_bytes())
    (home / "format").write_text(json.dumps(marker | {"inode": 0, "later": [1]}), encoding="utf-8")
    renewed = Home(home).id
    assert renewed != marker["home"]
    assert json.loads((home / "format").read_bytes()) == marker | {
        "later": [1],
        "home": renewed,
        "inode": (home / "format").stat().st_ino,
    }


def _bare_format(home: Path) -> object:
    (home / "format").write_text('{"format":2}', encoding="utf-8")
    return Home(home)


def _settings_that_are_a_list(home: Path) -> object:
    (home / "context" / "demo" / "context.json").write_text("[]", encoding="utf-8")
    return Home(home).context("demo").remote


def _settings_that_are_gone(home: Path) -> object:
    context = Home(home).context("demo")
    shutil.rmtree(home / "context" / "demo")
    return context.remote


def _context_that_is_a_file(home: Path) -> object:
    (home / "context" / "file").write_text("x", encoding="utf-8")
    return Home(home).context("file")


def _current_that_is_no_text(home: Path) -> object:
    (home / "current").write_bytes(b"\xff\n")
    return Home(home).current_name()


def _home_of_too_long_a_name(home: Path) -> object:
    return Home(home / ("x" * 300))


def _home_that_may_not_be_listed(home: Path) -> object:
    opened = Home(home)
    (home / "context").chmod(0)
    with unprivileged():
        return opened.context_names()


@pytest.mark.parametrize(
    ("look", "error"),
    [
        (_bare_format, UnknownFormat),
        (_settings_that_are_a_list, Corrupt),
        (_settings_that_are_gone, ContextNotFound),
        (_context_that_is_a_file, ContextNotFound),
        (_current_that_is_no_text, Corrupt),
        (_home_of_too_long_a_name, StorageError),
        (_home_that_may_not_be_listed, PermissionDenied),
    ],
)
def test_what_cannot_be_read_is_an_error_of_ours(
    home: Path, look: Callable[[Path], object], error: type[DisdatError]
) -> None:
    contexts.create(Home(home), "demo")
    with pytest.raises(error) as caught:
        look(home)
    assert caught.type is error
