"""
Publications: what one push, removal or collection makes known on a remote, as values and as bytes.

``docs/format.md`` has the fields. What comes from a remote may be anything: :func:`decode` refuses, with
:class:`~disdat.errors.Corrupt`, whatever could not be used as it is, and believes no length that is written in it.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from disdat.core import canonical, event, manifest, tree
from disdat.core.canonical import Encoded, Json
from disdat.core.digest import Digest, of_bytes
from disdat.core.event import Event
from disdat.core.places import Place, file_key, object_key, pack_key
from disdat.core.weak import Weak
from disdat.errors import Corrupt, DisdatError, InvalidInput, UnknownFormat

FORMAT = 1
FEATURES: frozenset[str] = frozenset()
"""Reader features a publication may require and this version has."""
VALID_US = 600_000_000
"""A publication counts if it was stored at most so long before or after its time: less than a fetch lists again."""
INLINE_BYTES = 1 << 20
"""What a publication says is an object of its own where it takes more."""
AHEAD_US = 86_400_000_000
"""An event more than this later than the moment its publication was stored is refused."""

_ENTRY = struct.Struct("<32sQQ")
_MAX_BYTES = 1 << 53
_NAMES_BODY = b'"body":{"digest":'
_HEX = re.compile(r"[0-9a-f]{64}")
_WRITER = re.compile(r"[0-9A-Z]{26}\.[0-9A-Z]{26}")
_NAME = re.compile(r"([0-9A-HJKMNP-TV-Z]{26})-([0-9A-HJKMNP-TV-Z]{26})\.json")
_SAID = ("events", "packs", "objects", "files", "dropped", "released")


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file that lies on the remote as people see it, below ``files/<uuid>/``; *weak* where nobody has read it."""

    uuid: str
    path: str
    digest: Digest
    size_bytes: int
    weak: Weak | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What collection deletes: packs by name, objects, plain files by bundle and path."""

    packs: tuple[str, ...] = ()
    objects: tuple[Digest, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packs or self.objects or self.files)


@dataclass(frozen=True, slots=True)
class Said:
    """What a publication makes known: events, and where the objects lie that it brings."""

    events: Sequence[Event] = ()
    packs: Mapping[str, bytes] = field(default_factory=dict)
    """The index of each pack, by its name."""
    objects: Sequence[tuple[Digest, int]] = ()
    files: Sequence[PlainFile] = ()
    dropped: Dropped = field(default_factory=Dropped)
    released: Sequence[str] = ()
    """Bundles whose files are there before them, and which nobody is going to publish."""

    def __bool__(self) -> bool:
        return bool(self.events or self.packs or self.objects or self.files or self.dropped or self.released)

    @property
    def takes_back(self) -> bool:
        """Whether it says the contrary of what others said: who says that again must say it later."""
        return bool(self.dropped or self.released)

    def places(self, remote_context: str) -> Iterator[tuple[bytes, Place]]:
        """Yield every object it places, as its digest's 32 bytes, and where."""
        for name, index in self.packs.items():
            key = pack_key(name)
            for raw, offset, length in _ENTRY.iter_unpack(index):
                yield raw, Place(key, offset, length, is_whole=False)
        for digest, size_bytes in self.objects:
            yield digest.raw, Place(object_key(digest), 0, size_bytes)
        for each in self.files:
            key = file_key(remote_context, each.uuid, each.path)
            yield each.digest.raw, Place(key, 0, each.size_bytes, weak=each.weak)

    def dropped_keys(self, remote_context: str) -> list[str]:
        """The keys that are deleted."""
        return [
            *map(pack_key, self.dropped.packs),
            *map(object_key, self.dropped.objects),
            *(file_key(remote_context, uuid, path) for uuid, path in self.dropped.files),
        ]


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication. Its id is a ULID of :attr:`time_us`; :attr:`write_id` stays the same when it is made again."""

    id: str
    write_id: str
    time_us: int
    writer: str
    seq: int
    valid_until_us: int
    said: Said
    actor: str = ""
    requires: tuple[str, ...] = ()
    body: Digest | None = None
    """The object that holds what it says, where that is one."""

    @property
    def name(self) -> str:
        """What its key ends with."""
        return f"{self.id}-{self.write_id}.json"

    def counts_when_stored(self, stored_us: int) -> bool:
        """Whether it counts if it was stored at this moment of the store's clock."""
        return self.time_us - VALID_US <= stored_us <= self.valid_until_us


def made(
    said: Said,
    *,
    time_us: int,
    writer: str,
    seq: int,
    actor: str = "",
    write_id: str = "",
    until_us: int | None = None,
) -> Publication:
    """A new publication, which counts only if it is stored until *until_us*; a *write_id* if it is made again."""
    id_ = event.ulid(time_us)
    valid_us = time_us + VALID_US if until_us is None else min(time_us + VALID_US, until_us)
    return Publication(id_, write_id or id_, time_us, writer, seq, valid_us, said, actor)


def writer(home: str, context: str) -> str:
    """What names who publishes from a local context of a home, by the ids of both."""
    return f"{home}.{context}"


def parse_name(name: str) -> tuple[str, str] | None:
    """The id and the write id in a publication's name; None where it is none."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2]) if found else None


def encode(publication: Publication, keep: Callable[[bytes], tuple[Digest, int]]) -> bytes:
    """
    The publication as it is stored: with all it says, or naming the object that has it.

    *keep* stores the canonical JSON of what is said, and returns digest and size of the object.
    """
    data = canonical.encode(to_json(publication))
    if len(data) > INLINE_BYTES:
        # With the write id: what collection may be deleting is never stored anew under the same name.
        said = {"write": publication.write_id, **_said_json(publication.said)}
        digest, size_bytes = keep(canonical.encode(said))
        data = canonical.encode(_head_json(publication) | {"body": {"digest": digest, "size": size_bytes}})
    return b"%b\n%b\n" % (data, of_bytes(data).hex.encode())


def to_json(publication: Publication) -> dict[str, Json]:
    """The publication as JSON values, with all it says."""
    return _head_json(publication) | _said_json(publication.said)


def decode(data: bytes, read_body: Callable[[Digest, int], bytes]) -> Publication:
    """
    The publication :func:`encode` wrote; *read_body* gives what its *keep* was given.

    Raises:
        Corrupt: It is none, or was damaged, or says what cannot be.
        UnknownFormat: A later version wrote it.
    """
    text, separator, end = data.partition(b"\n")
    if not separator or end != of_bytes(text).hex.encode() + b"\n":
        raise Corrupt("not a publication: it is damaged, or was cut short")
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(text))
        if "body" not in fields:
            return from_json(fields)
        check_format(fields)
        digest = Digest.parse(fields["body"]["digest"])
        said = cast("Mapping[str, Any]", canonical.decode(read_body(digest, _count(fields["body"]["size"]))))
        whole = from_json({**fields, **{key: said[key] for key in _SAID if key in said}})
    except (InvalidInput, KeyError, TypeError, ValueError, AttributeError) as exc:
        raise _refused(exc) from exc
    return replace(whole, body=digest)


def body_of(data: bytes) -> tuple[Digest, int] | None:
    """The object that holds what a publication says, and its size; None where there is none, as far as can be seen."""
    if _NAMES_BODY not in data:
        return None
    try:
        body = cast("Mapping[str, Any]", canonical.decode(data.partition(b"\n")[0]))["body"]
        return Digest.parse(body["digest"]), _count(body["size"])
    except (InvalidInput, KeyError, TypeError, ValueError, AttributeError):
        return None  # whoever decodes it says what is wrong


def from_json(fields: Mapping[str, Any]) -> Publication:
    """The publication of decoded JSON that has all it says; raises what :func:`decode` does."""
    try:
        check_format(fields)
        publication = Publication(
            id=_ulid(fields["id"]),
            write_id=_ulid(fields["write"]),
            time_us=_count(fields["time"]),
            writer=_matching(_WRITER, fields["writer"]),
            seq=_count(fields["seq"]),
            valid_until_us=_count(fields["valid_until"]),
            said=_said(fields),
            actor=_text(fields.get("actor", "")),
            requires=tuple(fields.get("requires", ())),
        )
        if event.ulid_time_us(publication.id) != publication.time_us // 1000 * 1000:
            raise ValueError("its id is not of its time")
    except UnknownFormat:
        raise
    except (Corrupt, InvalidInput, KeyError, TypeError, ValueError, AttributeError, struct.error) as exc:
        raise _refused(exc) from exc
    return publication


def check_format(fields: Mapping[str, Any]) -> None:
    """Raise UnknownFormat for one of a later version, or with a feature this one lacks."""
    if fields["format"] != FORMAT:
        raise UnknownFormat("publication", found=fields["format"], supported=FORMAT)
    if missing := set(fields.get("requires", ())) - FEATURES:
        raise UnknownFormat("publication", found=sorted(missing), supported=sorted(FEATURES))


def check_times(publication: Publication, stored_us: int) -> None:
    """Refuse, with Corrupt, events that are far later than the moment the store says it got them."""
    latest = max((each.time_us for each in publication.said.events), default=0)
    if latest > stored_us + AHEAD_US:
        raise Corrupt(f"publication {publication.id} holds events of a time that is still to come")


def valid(publications: Iterable[Publication]) -> list[Publication]:
    """Those that count, in order of their ids: of one write the last."""
    return sorted(
        {each.write_id: each for each in sorted(publications, key=lambda p: p.id)}.values(), key=lambda p: p.id
    )


def _refused(exc: Exception) -> Corrupt:
    return Corrupt(f"not a publication: {exc}" if isinstance(exc, DisdatError) else f"not a publication: {exc!r}")


def _head_json(publication: Publication) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "format": FORMAT,
        "id": publication.id,
        "write": publication.write_id,
        "time": publication.time_us,
        "writer": publication.writer,
        "seq": publication.seq,
        "valid_until": publication.valid_until_us,
    }
    if publication.actor:
        fields["actor"] = publication.actor
    if publication.requires:
        fields["requires"] = publication.requires
    return fields


def _said_json(said: Said) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "events": [event.to_json(each) for each in said.events],
        "packs": {name: b64encode(index).decode() for name, index in said.packs.items()},
        "objects": [[digest, size_bytes] for digest, size_bytes in said.objects],
        "files": [_file_json(each) for each in said.files],
        "dropped": _dropped_json(said.dropped),
        "released": list(said.released),
    }
    return {key: value for key, value in fields.items() if value}


def _file_json(file: PlainFile) -> Json:
    known: list[Json] = [file.uuid, file.path, file.digest, file.size_bytes]
    return known if file.weak is None else [*known, file.weak.to_json()]


def _dropped_json(dropped: Dropped) -> Json:
    fields: dict[str, Json] = {
        "packs": list(dropped.packs),
        "objects": list(dropped.objects),
        "files": [list(each) for each in dropped.files],
    }
    return {key: value for key, value in fields.items() if value}


def _said(fields: Mapping[str, Any]) -> Said:
    return Said(
        events=tuple(map(_event, fields.get("events", ()))),
        packs={_matching(_HEX, name): _index(text) for name, text in fields.get("packs", {}).items()},
        objects=tuple((Digest.parse(digest), _count(size)) for digest, size in fields.get("objects", ())),
        files=tuple(_file(*item) for item in fields.get("files", ())),
        dropped=_dropped(fields.get("dropped", {})),
        released=tuple(map(_uuid, fields.get("released", ()))),
    )


def _event(fields: Mapping[str, Any]) -> Event:
    found = event.from_json(_with_body(fields) if fields["kind"] == event.ADD else fields)
    for uuid in found.subjects:
        manifest.check_uuid(uuid)
    if missing := set(found.requires) - event.FEATURES:
        raise UnknownFormat(f"the event {found.id}", found=sorted(missing), supported=sorted(event.FEATURES))
    if found.kind == event.FETCH:
        raise ValueError("a fetch is no event of a publication")
    return found


def _with_body(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of an event, the manifest in it known to be the one it names, and encoded only once."""
    payload = fields["payload"]
    if not isinstance(payload.get("body"), dict):
        return fields
    body = Encoded(payload["body"])
    if of_bytes(body.encoded) != payload["manifest"]:
        raise ValueError(f"the event {fields['id']} does not hold the manifest it names")
    return {**fields, "payload": {**payload, "body": body}}


def _index(text: str) -> bytes:
    index = b64decode(text, validate=True)
    for _, offset, length in _ENTRY.iter_unpack(index):
        if offset + length > _MAX_BYTES:
            raise ValueError("a place in a pack is out of range")
    return index


def _file(uuid: str, path: str, digest: str, size: int, weak: Json = None) -> PlainFile:
    manifest.check_uuid(uuid)
    identity = None if weak is None else Weak.from_json(weak)
    file = PlainFile(uuid, _path(path), Digest.parse(digest), _count(size), identity)
    if identity is not None:
        identity.check_names(file.digest, file.size_bytes)
    return file


def _dropped(fields: Mapping[str, Any]) -> Dropped:
    files = [(uuid, _path(path)) for uuid, path in fields.get("files", ())]
    for uuid, _ in files:
        manifest.check_uuid(uuid)
    packs = tuple(_matching(_HEX, name) for name in fields.get("packs", ()))
    return Dropped(packs, tuple(map(Digest.parse, fields.get("objects", ()))), tuple(files))


def _path(path: str) -> str:
    tree.check_path(path)
    return path


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"not what belongs here: {text!r}")
    return text


def _uuid(text: str) -> str:
    manifest.check_uuid(text)
    return text


def _ulid(text: str) -> str:
    event.ulid_time_us(text)
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {value!r}")
    value.encode("utf-8")
    return value


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_BYTES << 4:
        raise ValueError(f"not a count: {number!r}")
    return number
