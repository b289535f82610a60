"""
Events: every change to a context, and the state that a set of them amounts to.

State is :func:`fold` over the *set* of events: their order of arrival does not matter, a repeated event
counts once, and an event that a later, itself valid event undoes is void. An event is undone by its *write id*, so
one that was published twice is undone under either id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from disdat.core import canonical
from disdat.core.canonical import Encoded, Json
from disdat.core.digest import Digest
from disdat.errors import Corrupt

ADD = "add"
REMOVE = "remove"
TAG = "tag"
COMMIT = "commit"
RENAME = "rename"
REAFFIRM = "reaffirm"
RUN = "run"
DECISIONS = "decisions"
UNDO = "undo"
RESTORE = "restore"
FETCH = "fetch"
"""Others of its record were fetched from a remote; it alone is of the writer whose log it is in."""

KINDS: frozenset[str] = frozenset({ADD, REMOVE, TAG, COMMIT, RENAME, REAFFIRM, RUN, DECISIONS, UNDO, RESTORE, FETCH})
"""What this version understands; a context that has others is not collected."""

OF_ONE = frozenset({ADD, TAG, RENAME})
"""The kinds that speak of one bundle each."""
_OF_SEVERAL = frozenset({REMOVE, COMMIT, REAFFIRM, RESTORE})

_BODY, _AFTER_BODY = b'"body":', b',"manifest":'
_NO_BODY = _BODY + b"null"

FEATURES: frozenset[str] = frozenset()
"""Reader features an event may require and this version has."""

LATEST_US = 1 << 57
"""Far beyond any clock (the year 6537), within what a ULID can hold."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_CHARACTERS = 26
_ULID_TIME_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class Event:
    """
    One change, written once.

    :attr:`id` is a ULID of :attr:`time_us` (µs since the epoch, UTC). :attr:`seq` counts the events of
    :attr:`writer` (a home's id) in this context without gaps, from 1. :attr:`write_id` is the same for the
    same change published twice. :attr:`payload` holds what the kind needs: see ``docs/format.md``.
    """

    id: str
    time_us: int
    writer: str
    seq: int
    kind: str
    payload: Mapping[str, Json] = field(default_factory=dict)
    actor: str = ""
    write_id: str = ""
    undoes: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    valid_until_us: int | None = None

    @property
    def order(self) -> tuple[int, str]:
        """What later means among events: by time, then by id."""
        return self.time_us, self.id

    @property
    def write_key(self) -> str:
        """What tells the change from others, however often it was published: what undoes it names this."""
        return self.write_id or self.id

    @property
    def subjects(self) -> tuple[str, ...]:
        """The uuids of the bundles this event speaks of; none of a kind that is not known, whatever it holds."""
        if self.kind in OF_ONE:
            return (cast("str", self.payload["uuid"]),)
        return tuple(cast("Sequence[str]", self.payload["uuids"])) if self.kind in _OF_SEVERAL else ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is still to be given its id, time and sequence number by the context it is written to."""

    kind: str
    payload: Mapping[str, Json] = field(default_factory=dict)
    undoes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleState:
    """What the events of a context say of one bundle that is present in it."""

    uuid: str
    manifest: Digest
    body: bytes | None
    """The manifest's bytes where an event held them; None where it is an object."""
    added_us: int
    made_us: int
    """When it was last made or reaffirmed: the newest of a name is its latest version."""
    committed: bool
    tag_changes: Mapping[str, str | None]
    """What was set (None: removed) since birth; laid over the manifest's tags by :meth:`tags`."""
    name: str | None
    """The name it was given since birth; None where it keeps its name at birth."""

    def tags(self, at_birth: Mapping[str, str]) -> dict[str, str]:
        """Its tags now, given those in its manifest."""
        merged = {**at_birth, **self.tag_changes}
        return {key: value for key, value in merged.items() if value is not None}


_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)


def ulid(time_us: int, *, entropy: int | None = None) -> str:
    """A ULID (https://github.com/ulid/spec) of the millisecond *time_us* lies in; 80 random bits unless given."""
    bits = _random_bits() if entropy is None else entropy
    number = (time_us // 1000 << 80) | bits
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def ulid_time_us(text: str) -> int:
    """The time a ULID was made of, to the millisecond below; ValueError if *text* is none."""
    if len(text) != _ULID_CHARACTERS:
        raise ValueError(f"not a ULID: {text!r}")
    number = 0
    for character in text[:_ULID_TIME_CHARACTERS]:
        number = number << 5 | _CROCKFORD.index(character)
    return number * 1000


def _random_bits() -> int:
    """80 bits, of a uuid4: all but its seventh and ninth byte, which say what it is, are random."""
    drawn = uuid4().bytes
    return int.from_bytes(drawn[:6] + drawn[12:])


def encode(event: Event) -> bytes:
    """The event as canonical JSON: one line, without the line feed."""
    body = event.payload.get("body")
    if not isinstance(body, Encoded):
        return canonical.encode(to_json(event))
    around = canonical.encode(_fields(event, {**event.payload, "body": None}))
    # The keys before "payload" have texts, in which quotation marks are escaped: it is the first such key.
    return around.replace(_NO_BODY, _BODY + body.encoded, 1)


def manifest_in(line: bytes) -> bytes:
    """
    What are probably the bytes of the manifest in an `add` that :func:`encode` wrote: who uses them compares digests.

    To encode it again would take longer than to read it.
    """
    _, _, rest = line.partition(_BODY)
    return rest.rpartition(_AFTER_BODY)[0]


def to_json(event: Event) -> dict[str, Json]:
    """The event as JSON values."""
    return _fields(event, event.payload)


def _fields(event: Event, payload: Mapping[str, Json]) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "id": event.id,
        "time": event.time_us,
        "writer": event.writer,
        "seq": event.seq,
        "kind": event.kind,
        "payload": payload,
    }
    if event.actor:
        fields["actor"] = event.actor
    if event.write_id not in ("", event.id):
        fields["write"] = event.write_id
    if event.undoes:
        fields["undoes"] = event.undoes
    if event.requires:
        fields["requires"] = event.requires
    if event.valid_until_us is not None:
        fields["valid_until"] = event.valid_until_us
    return fields


def decode(data: bytes | str) -> Event:
    """The event :func:`encode` wrote; Corrupt if *data* is none, or says of its kind what :func:`fold` cannot use."""
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(data))
    except ValueError as exc:
        raise Corrupt(f"not an event: {exc!r}") from exc
    return from_json(fields)


def from_json(fields: Mapping[str, Any]) -> Event:
    """The event of a decoded one; see :func:`decode`."""
    try:
        event = Event(
            id=fields["id"],
            time_us=fields["time"],
            writer=fields["writer"],
            seq=fields["seq"],
            kind=fields["kind"],
            payload=fields["payload"],
            actor=fields.get("actor", ""),
            write_id=fields.get("write", fields["id"]),
            undoes=tuple(fields.get("undoes", ())),
            requires=tuple(fields.get("requires", ())),
            valid_until_us=fields.get("valid_until"),
        )
        _check(event)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"not an event: {exc!r}") from exc
    return event


def added(uuid: str, digest: Digest, body: Mapping[str, Json] | None) -> Draft:
    """Adds a bundle, whose manifest *body* lies in the event, or (None) in the object *digest*."""
    payload: dict[str, Json] = {"uuid": uuid, "manifest": digest}
    return Draft(ADD, payload if body is None else payload | {"body": body})


def tagged(uuid: str, *, set_to: Mapping[str, str], unset: Iterable[str] = ()) -> Draft:
    """Sets and removes tags of a bundle; per key the last writer wins."""
    return Draft(TAG, {"uuid": uuid, "set": dict(set_to), "unset": sorted(unset)})


def restored(uuids: Iterable[str]) -> Draft:
    """Lets the removals of these bundles that came before it count no more."""
    return Draft(RESTORE, {"uuids": sorted(uuids)})


def came(each: Event) -> bool:
    """Whether an event says that it copied what had been fetched."""
    origin = each.payload.get("from") if each.kind == ADD else None
    return isinstance(origin, Mapping) and origin.get("fetched") is True


def undone(events: Iterable[Event]) -> Draft:
    """Makes *events* void."""
    return Draft(UNDO, {}, undoes=tuple(each.write_key for each in events))


def fold(events: Iterable[Event]) -> dict[str, BundleState]:
    """
    The bundles present after *events*, by uuid.

    Depends on the set of events only. A bundle is present if a non-void event adds it, whenever that is, and none
    removes it that no restore follows.
    """
    by_bundle: dict[str, list[Event]] = defaultdict(list)
    for event in valid(events):
        for uuid in event.subjects:
            by_bundle[uuid].append(event)
    states = {uuid: _bundle_state(uuid, mine) for uuid, mine in by_bundle.items()}
    return {uuid: state for uuid, state in states.items() if state is not None}


def valid(events: Iterable[Event]) -> list[Event]:
    """The events that count, earliest first: each write once, and none that a later valid event undoes."""
    latest_write = {event.write_key: event for event in sorted(events, key=lambda e: e.order)}
    void: set[str] = set()
    counted: list[Event] = []
    for event in sorted(latest_write.values(), key=lambda e: e.order, reverse=True):
        if event.write_key not in void:
            void.update(event.undoes)
            counted.append(event)
    counted.reverse()
    return counted


def _check(event: Event) -> None:
    """Raise if a field, or one that the kind needs, is missing, of the wrong type, or no Unicode."""
    names = (event.id, event.writer, event.kind, event.write_id, *event.undoes, *event.requires, *event.subjects)
    "".join(names).encode("utf-8")
    _check_types(int, event.time_us, event.seq)
    _check_types(dict, event.payload)
    if not (0 <= event.time_us < LATEST_US and 0 <= event.seq < LATEST_US):
        raise ValueError("a number is out of range")
    _check_payload(event.kind, event.payload)


def _check_payload(kind: str, payload: Mapping[str, Any]) -> None:
    """Look at what is in the payload beside the subjects, which are known to be text."""
    if kind == ADD:
        Digest.parse(payload["manifest"])
        _check_types(dict, payload.get("body", {}))
    elif kind == TAG:
        changes = payload.get("set", {})
        _check_types(str, *changes.keys(), *changes.values(), *payload.get("unset", ()))
    elif kind == RENAME:
        _check_types(str, payload["name"])


def _check_types(kind: type, *values: object) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} where {kind.__name__} belongs")


def _bundle_state(uuid: str, events: Sequence[Event]) -> BundleState | None:
    add = next((event for event in events if event.kind == ADD), None)
    if add is None or _is_removed(events):
        return None
    body = add.payload.get("body")
    return BundleState(
        uuid=uuid,
        manifest=Digest.parse(cast("str", add.payload["manifest"])),
        body=None if body is None else canonical.encode(body),
        added_us=add.time_us,
        made_us=max(event.time_us for event in events if event.kind in (ADD, REAFFIRM)),
        committed=any(event.kind == COMMIT for event in events),
        tag_changes=_tag_changes(events),
        name=_last_name(events),
    )


def _is_removed(events: Sequence[Event]) -> bool:
    """Whether the last of these, which are in order, that removes or restores the bundle removes it."""
    deciding = [event.kind for event in events if event.kind in (REMOVE, RESTORE)]
    return bool(deciding) and deciding[-1] == REMOVE


def _tag_changes(events: Sequence[Event]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for event in events:
        if event.kind == TAG:
            changes.update(cast("Mapping[str, str]", event.payload.get("set", {})))
            changes.update(dict.fromkeys(cast("Sequence[str]", event.payload.get("unset", ()))))
    return changes


def _last_name(events: Sequence[Event]) -> str | None:
    names = [event.payload["name"] for event in events if event.kind == RENAME]
    return cast("str", names[-1]) if names else None
