"""The trash says since when each thing is in it, and notes are kept as long as they are of use."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.core import event
from disdat.core.digest import of_bytes
from disdat.durable import Disk
from disdat.errors import UnknownFormat
from disdat.store.trash import Bundle, Note, Trash

DIGESTS = tuple(of_bytes(b"%d" % n) for n in range(3))
PACK = of_bytes(b"pack").hex


@pytest.fixture
def trash(tmp_path: Path) -> Trash:
    return Trash(tmp_path / "store" / "trash", disk=Disk())


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def drop(trash: Trash) -> None:
    for path in trash.spent_notes():
        path.unlink()


def test_the_bytes_of_a_note_are_as_documented(trash: Trash) -> None:
    trash.directory.parent.mkdir()
    trash.note(Note(1_800_000_000_000_000, DIGESTS[:1], (PACK,), (Bundle("demo", "u", "01"),)))
    [path] = trash.directory.iterdir()
    assert event.ulid_time_us(path.name[3:-5]) == 1_800_000_000_000_000
    fields = f'"objects":["{DIGESTS[0]}"],"packs":["{PACK}"],"time":1800000000000000'
    bundle = '{"as":"01","context":"demo","uuid":"u"}'
    assert path.read_bytes().decode() == f'{{"bundles":[{bundle}],"format":1,{fields}}}\n'


def test_each_thing_is_there_since_the_latest_note_that_names_it(trash: Trash) -> None:
    for digest in DIGESTS:
        put(trash.object_path(digest))
    put(trash.pack_path(PACK))
    (trash.directory / "bundles" / event.ulid(7000)).mkdir(parents=True)
    (trash.directory / "bundles" / "mine").mkdir()
    (trash.directory / f"context-{event.ulid(8000)}").mkdir()
    trash.note(Note(5000, DIGESTS[:2], (PACK,)))
    trash.note(Note(6000, DIGESTS[1:2]))
    since = {(thing.kind, thing.path.name): thing.since_us for thing in trash.things()}
    assert since == {
        ("object", DIGESTS[0].hex): 5000,
        ("object", DIGESTS[1].hex): 6000,
        ("object", DIGESTS[2].hex): None,
        ("pack", f"{PACK}.pack"): 5000,
        ("bundle", next(iter(path.name for path in (trash.directory / "bundles").glob("0*")))): 7000,
        ("context", trash.contexts()[0][0].name): 8000,
    }


def test_a_note_is_dropped_when_nothing_of_it_is_left(trash: Trash) -> None:
    put(trash.object_path(DIGESTS[0]))
    trash.note(Note(1, DIGESTS[:2]))
    trash.note(Note(2, DIGESTS[1:]))
    (trash.directory / "gc-1.new").write_bytes(b"half")
    drop(trash)
    assert [path.name[:3] for path in trash.directory.iterdir() if path.is_file()] == ["gc-"]
    trash.object_path(DIGESTS[0]).unlink()
    drop(trash)
    assert not [path for path in trash.directory.iterdir() if path.is_file()]


def test_a_damaged_note_counts_as_none_and_one_of_a_later_version_is_refused(trash: Trash) -> None:
    put(trash.object_path(DIGESTS[0]))
    path = trash.directory / f"gc-{event.ulid(1)}.json"
    path.write_bytes(b'{"format":1,')
    assert [thing.since_us for thing in trash.things()] == [None]
    trash.check()
    path.write_bytes(b'{"format":2}')
    with pytest.raises(UnknownFormat):
        trash.check()


def test_a_trash_that_is_not_there_is_empty(trash: Trash) -> None:
    assert list(trash.things()) == []
    assert trash.contexts() == []
    assert trash.going() == []
    drop(trash)
