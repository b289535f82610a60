"""Publications come back as they were; what a hostile or damaged one says is refused, and never used."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical, event, manifest, publication
from disdat.core.bundle import Bundle
from disdat.core.canonical import Json
from disdat.core.digest import Digest, of_bytes
from disdat.core.event import Event
from disdat.core.places import Place, file_key, object_key, pack_key
from disdat.core.publication import Dropped, PlainFile, Publication, Said
from disdat.core.weak import Weak
from disdat.errors import Corrupt, DigestMismatch, UnknownFormat

UUID = "11111111-1111-4111-8111-111111111111"
WRITER = publication.writer("01J00000000000000000000000", "01J00000000000000000000001")
NOW_US = 1_790_000_000_000_000
ENTRY = struct.Struct("<32sQQ")
SOME = of_bytes(b"some")
WEAK = Weak("0123456789abcdef" * 2 + "-7", crc64nvme="OCBieXRlcy4=")


def add(uuid: str = UUID) -> Event:
    """Return the event that adds a small bundle."""
    bundle = Bundle(uuid, "storms", "", "ann", NOW_US, "disdat 2", "01J00000000000000000000000")
    body = manifest.encode(bundle)
    draft = event.added(uuid, of_bytes(body), canonical.decode(body))  # type: ignore[arg-type]
    return Event(event.ulid(NOW_US), NOW_US, "home", 1, draft.kind, draft.payload, write_id="w")


def said() -> Said:
    """Return something of everything."""
    return Said(
        events=(add(),),
        packs={"ab" * 32: ENTRY.pack(SOME.raw, 8, 4)},
        objects=((of_bytes(b"large"), 70_000),),
        files=(PlainFile(UUID, "a/b.csv", SOME, 4), PlainFile(UUID, "c", WEAK.digest(70_000), 70_000, WEAK)),
        dropped=Dropped(("cd" * 32,), (of_bytes(b"old"),), ((UUID, "old.csv"),)),
        released=(UUID,),
    )


class Kept:
    """Where bodies are kept."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}

    def keep(self, data: bytes) -> tuple[Digest, int]:
        digest = of_bytes(data)
        self.objects[digest] = data
        return digest, len(data)

    def read(self, digest: Digest, size_bytes: int) -> bytes:
        assert len(self.objects[digest]) == size_bytes
        return self.objects[digest]


def test_comes_back_as_it_was() -> None:
    kept = Kept()
    made = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=3, actor="ann@there")
    data = publication.encode(made, kept.keep)
    assert publication.decode(data, kept.read) == made
    assert not kept.objects
    assert publication.from_json(canonical.decode(canonical.encode(publication.to_json(made)))) == made  # type: ignore[arg-type]


def test_much_that_is_said_is_an_object_of_its_own() -> None:
    kept = Kept()
    many = Said(packs={"ab" * 32: ENTRY.pack(SOME.raw, 8, 4) * 20_000})
    made = publication.made(many, time_us=NOW_US, writer=WRITER, seq=3)
    data = publication.encode(made, kept.keep)
    [digest] = kept.objects
    assert len(data) < 1000
    decoded = publication.decode(data, kept.read)
    assert decoded.said == many
    assert decoded.body == digest


def test_places_say_where_every_object_lies() -> None:
    assert dict(said().places("ctx")) == {
        SOME.raw: Place(file_key("ctx", UUID, "a/b.csv"), 0, 4),
        WEAK.digest(70_000).raw: Place(file_key("ctx", UUID, "c"), 0, 70_000, weak=WEAK),
        of_bytes(b"large").raw: Place(object_key(of_bytes(b"large")), 0, 70_000),
    }
    assert next(said().places("ctx")) == (SOME.raw, Place(pack_key("ab" * 32), 8, 4, is_whole=False))
    assert said().dropped_keys("ctx") == [
        pack_key("cd" * 32),
        object_key(of_bytes(b"old")),
        file_key("ctx", UUID, "old.csv"),
    ]


def test_a_name_tells_id_and_write() -> None:
    made = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1)
    again = publication.made(said(), time_us=NOW_US + 5_000_000, writer=WRITER, seq=1, write_id=made.write_id)
    assert publication.parse_name(made.name) == (made.id, made.id)
    assert publication.parse_name(again.name) == (again.id, made.id)
    assert publication.parse_name("notes.json") is None
    assert publication.parse_name(made.name + ".tmp") is None


def test_a_write_counts_once_and_the_later_one() -> None:
    first = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1)
    again = publication.made(said(), time_us=NOW_US + 5_000_000, writer=WRITER, seq=1, write_id=first.write_id)
    other = publication.made(said(), time_us=NOW_US + 1_000_000, writer=WRITER, seq=2)
    assert publication.valid([again, other, first]) == [other, again]


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_is_found(at: int, bit: int) -> None:
    data = bytearray(publication.encode(publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1), Kept().keep))
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(Corrupt):
        publication.decode(bytes(data), Kept().read)


@given(st.integers(0, 10_000))
def test_a_cut_one_is_refused(length: int) -> None:
    data = publication.encode(publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1), Kept().keep)
    with pytest.raises(Corrupt):
        publication.decode(data[: length % len(data)], Kept().read)


def broken(**changes: Json) -> dict[str, Any]:
    """Return a good publication with other fields; None takes one away."""
    fields = publication.to_json(publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1))
    changed = canonical.decode(canonical.encode(fields | changes))
    return {key: value for key, value in changed.items() if value is not None}  # type: ignore[union-attr]


def event_json(**changes: Json) -> dict[str, Json]:
    """Return an event with other fields."""
    return event.to_json(add()) | changes


@pytest.mark.parametrize(
    "fields",
    [
        broken(id=None),
        broken(id="x"),
        broken(id="01J0000000000000000000000U"),
        broken(write="../../x"),
        broken(time=NOW_US + 10_000_000),
        broken(time=-1),
        broken(time=True),
        broken(time=1.5),
        broken(seq="1"),
        broken(seq=1 << 70),
        broken(writer="somebody"),
        broken(writer=7),
        broken(actor=["x"]),
        broken(actor="\ud800"),
        broken(valid_until=None),
        broken(events={"a": 1}),
        broken(events=[[]]),
        broken(events=[event_json(time=1 << 62)]),
        broken(events=[event_json(kind="fetch", payload={"remote": "x", "publications": []})]),
        broken(events=[event_json(kind="remove", payload={"uuids": ["../../etc"]})]),
        broken(events=[event_json(payload={"uuid": "..", "manifest": SOME})]),
        broken(events=[event_json(payload={"uuid": UUID, "manifest": SOME, "body": {"format": 1}})]),
        broken(events=[event_json(payload={"uuid": UUID, "manifest": "blake3:zz"})]),
        broken(packs={"../up": ""}),
        broken(packs={"ab" * 32: "%%%"}),
        broken(packs={"ab" * 32: b64encode(b"short").decode()}),
        broken(packs={"ab" * 32: b64encode(ENTRY.pack(SOME.raw, 1 << 60, 1 << 60)).decode()}),
        broken(packs=[1]),
        broken(objects=[["blake3:00", 1]]),
        broken(objects=[[SOME, -1]]),
        broken(objects=[[SOME, 1 << 80]]),
        broken(objects=[[SOME]]),
        broken(files=[[UUID, "../x", SOME, 1]]),
        broken(files=[[UUID, "/etc/passwd", SOME, 1]]),
        broken(files=[[UUID, "a//b", SOME, 1]]),
        broken(files=[["..", "a", SOME, 1]]),
        broken(files=[[UUID, "a", SOME, 1, "weak"]]),
        broken(files=[[UUID, "a", SOME, 70_000, WEAK.to_json()]]),
        broken(files=[[UUID, "a", SOME, 70_000, {}]]),
        broken(files=[[UUID, "a", WEAK.digest(70_001), 70_000, WEAK.to_json()]]),
        broken(files=[[UUID, "a", WEAK.digest(9), 9, WEAK.to_json()]]),
        broken(files=[[UUID, "a", None, 70_000, WEAK.to_json()]]),
        broken(dropped={"packs": ["../x"]}),
        broken(dropped={"objects": ["x"]}),
        broken(dropped={"files": [["..", "x"]]}),
        broken(released=["../x"]),
        broken(released=[1]),
        broken(dropped={"files": [[UUID, "../../disdat.json"]]}),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Corrupt):
        publication.from_json(fields)


@pytest.mark.parametrize(
    "fields",
    [broken(format=2), broken(requires=["wings"]), broken(events=[event_json(requires=["wings"])])],
)
def test_a_later_version_is_told_so(fields: dict[str, Any]) -> None:
    with pytest.raises(UnknownFormat):
        publication.from_json(fields)


def test_events_of_a_time_to_come_are_refused() -> None:
    made = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1)
    publication.check_times(made, NOW_US)
    publication.check_times(made, NOW_US - publication.AHEAD_US)
    with pytest.raises(Corrupt, match="still to come"):
        publication.check_times(made, NOW_US - publication.AHEAD_US - 1)


def test_one_that_was_stored_too_late_does_not_count() -> None:
    made = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1)
    assert made.counts_when_stored(NOW_US + publication.VALID_US)
    assert not made.counts_when_stored(NOW_US + publication.VALID_US + 1)


def test_one_of_a_time_to_come_does_not_count() -> None:
    made = publication.made(said(), time_us=NOW_US, writer=WRITER, seq=1)
    assert made.counts_when_stored(NOW_US - publication.VALID_US)
    assert not made.counts_when_stored(NOW_US - publication.VALID_US - 1)


def test_a_body_that_is_another_is_refused() -> None:
    kept = Kept()
    many = Said(packs={"ab" * 32: ENTRY.pack(SOME.raw, 8, 4) * 20_000})
    data = publication.encode(publication.made(many, time_us=NOW_US, writer=WRITER, seq=3), kept.keep)

    def damaged(digest: Digest, _: int) -> bytes:
        raise DigestMismatch("the body", expected=digest, found=SOME)

    with pytest.raises(DigestMismatch):
        publication.decode(data, damaged)


def test_what_is_made_is_of_its_time() -> None:
    made = publication.made(Said(), time_us=NOW_US, writer=WRITER, seq=1)
    assert isinstance(made, Publication)
    assert not made.said
    assert event.ulid_time_us(made.id) == NOW_US // 1000 * 1000
    assert made.valid_until_us == NOW_US + 600_000_000
