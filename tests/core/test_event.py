"""State is the fold over the set of events: no order, no repetition, and an undo can be undone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical, digest, event
from disdat.core.event import Event
from disdat.errors import Corrupt

A, B = digest.of_bytes(b"a"), digest.of_bytes(b"b")
NOW = 1_760_000_000_000_000
UUIDS = ["u1", "u2", "u3"]
IDS = [event.ulid(NOW, entropy=i) for i in range(10)]

uuids = st.sampled_from(UUIDS)
texts = st.sampled_from(["", "k", "l"])
some = st.lists(uuids, min_size=1, max_size=2).map(lambda found: {"uuids": found})
payloads: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    event.ADD: st.builds(lambda u, m: {"uuid": u, "manifest": m, "body": {"x": m}}, uuids, st.sampled_from([A, B])),
    event.REMOVE: some,
    event.COMMIT: some,
    event.REAFFIRM: some,
    event.TAG: st.builds(
        lambda u, s, n: {"uuid": u, "set": s, "unset": n},
        uuids,
        st.dictionaries(texts, texts),
        st.lists(texts, max_size=1),
    ),
    event.RENAME: st.builds(lambda u, n: {"uuid": u, "name": n}, uuids, texts),
    event.UNDO: st.just({}),
    event.RESTORE: some,
    "strange": st.just({}),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Any set of events: in any order, with any undone by any, and some written twice."""
    made = []
    for id_ in draw(st.lists(st.sampled_from(IDS), unique=True, max_size=len(IDS))):
        kind = draw(st.sampled_from(sorted(payloads)))
        made.append(
            Event(
                id=id_,
                time_us=NOW + draw(st.integers(0, 4)),
                writer="w",
                seq=1,
                kind=kind,
                payload=draw(payloads[kind]),
                write_id=draw(st.sampled_from([id_, id_, "", "w1", IDS[0]])),
                undoes=tuple(draw(st.lists(st.sampled_from(IDS), max_size=2))) if kind == event.UNDO else (),
            )
        )
    return made


def history(*changes: event.Draft) -> list[Event]:
    """Events that happened one after another; the id of the n-th is ``IDS[n]``."""
    return [
        Event(IDS[i], NOW + i, "w", i + 1, each.kind, each.payload, undoes=each.undoes)
        for i, each in enumerate(changes)
    ]


def add(uuid: str = "u1") -> event.Draft:
    return event.added(uuid, A, {"x": 1})


def remove(*uuids_: str) -> event.Draft:
    return event.Draft(event.REMOVE, {"uuids": list(uuids_)})


def restore(*uuids_: str) -> event.Draft:
    return event.restored(uuids_)


def undo(*numbers: int) -> event.Draft:
    return event.Draft(event.UNDO, {}, undoes=tuple(IDS[number] for number in numbers))


def tag(**set_to: str) -> event.Draft:
    return event.tagged("u1", set_to=set_to)


@given(histories(), st.randoms(use_true_random=False))
def test_the_fold_does_not_depend_on_the_order_of_arrival(events: list[Event], chance: Any) -> None:
    shuffled = list(events)
    chance.shuffle(shuffled)
    assert event.fold(shuffled) == event.fold(events)
    assert event.valid(shuffled) == event.valid(events)


@given(histories(), st.data())
def test_an_event_that_comes_again_changes_nothing(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events))) if events else []
    assert event.fold([*events, *again]) == event.fold(events)


@given(histories())
def test_the_events_that_count_are_in_order_and_count_alone(events: list[Event]) -> None:
    counted = event.valid(events)
    assert counted == sorted(counted, key=lambda each: each.order)
    assert set(map(id, counted)) <= set(map(id, events))
    assert event.valid(counted) == counted
    assert event.fold(counted) == event.fold(events)


@given(histories())
def test_an_event_is_void_if_and_only_if_a_later_one_that_counts_undoes_it(events: list[Event]) -> None:
    counted = event.valid(events)
    last_of_write = {each.write_id or each.id: each for each in sorted(events, key=lambda each: each.order)}
    for write, each in last_of_write.items():
        undone = any(write in other.undoes and other.order > each.order for other in counted)
        assert (each in counted) != undone


def later(draft: event.Draft, number: int = 0) -> Event:
    """A change after those of any of :func:`histories`."""
    return Event(
        event.ulid(NOW, entropy=90 + number), NOW + 9 + number, "w", 9, draft.kind, draft.payload, "", "", draft.undoes
    )


@given(histories())
def test_a_bundle_is_present_if_added_and_not_removed_since_it_was_restored(events: list[Event]) -> None:
    """Whenever it was added: an addition that comes late brings nothing back."""
    counted = event.valid(events)
    for uuid in UUIDS:
        mine = [each for each in counted if uuid in each.subjects]
        last_restored = max((each.order for each in mine if each.kind == event.RESTORE), default=(0, ""))
        removed = any(each.kind == event.REMOVE and each.order > last_restored for each in mine)
        added = any(each.kind == event.ADD for each in mine)
        assert (uuid in event.fold(events)) == (added and not removed)


@given(histories(), uuids)
def test_what_is_restored_is_as_if_it_had_never_been_removed(events: list[Event], uuid: str) -> None:
    never_removed = [each for each in event.valid(events) if not (each.kind == event.REMOVE and uuid in each.subjects)]
    restored = event.fold([*events, later(restore(uuid))])
    assert restored.get(uuid) == event.fold(never_removed).get(uuid)
    assert {**restored, uuid: None} == {**event.fold(events), uuid: None}


@given(histories(), uuids)
def test_what_is_restored_can_be_removed_again_and_the_restoring_be_undone(events: list[Event], uuid: str) -> None:
    restored = later(restore(uuid))
    assert uuid not in event.fold([*events, restored, later(remove(uuid), 1)])
    taken_back = later(event.undone([restored]), 1)
    assert event.fold([*events, restored, taken_back]) == event.fold(events)
    again = later(event.undone([taken_back]), 2)
    assert event.fold([*events, restored, taken_back, again]) == event.fold([*events, restored])


@given(histories())
def test_all_that_counts_can_be_undone_under_its_write_ids(events: list[Event]) -> None:
    undoing = later(event.undone(each for each in event.valid(events) if each.kind != event.UNDO))
    assert event.fold([*events, undoing]) == {}
    assert event.fold([*events, undoing, later(event.undone([undoing]), 1)]) == event.fold(events)


@given(histories())
def test_events_survive_being_written(events: list[Event]) -> None:
    written = [event.decode(event.encode(each)) for each in events]
    assert event.fold(written) == event.fold(events)
    assert [event.encode(each) for each in written] == [event.encode(each) for each in events]


@given(histories(), st.integers(0, 4))
def test_a_bundle_is_unaffected_by_events_of_others(events: list[Event], at: int) -> None:
    """Unless they undo or are undone, what is said of one bundle is no matter to another."""
    stranger = Event(event.ulid(NOW, entropy=99), NOW + at, "w", 9, event.REMOVE, {"uuids": ["u9"]})
    assert event.fold([*events, stranger]) == event.fold(events)


CASES: dict[str, tuple[list[event.Draft], set[str]]] = {
    "nothing": ([], set()),
    "added": ([add()], {"u1"}),
    "added and removed": ([add(), remove("u1")], set()),
    "removed before it was added": ([remove("u1"), add()], set()),
    "removed and added again": ([add(), remove("u1"), add()], set()),
    "removed and restored": ([add(), remove("u1"), restore("u1")], {"u1"}),
    "removed twice and restored": ([add(), remove("u1"), remove("u1"), restore("u1")], {"u1"}),
    "restored and then removed": ([add(), restore("u1"), remove("u1")], set()),
    "restored and added late": ([remove("u1"), restore("u1"), add()], {"u1"}),
    "restored but never added": ([remove("u1"), restore("u1")], set()),
    "an undone restore": ([add(), remove("u1"), restore("u1"), undo(2)], set()),
    "an undone undo of a restore": ([add(), remove("u1"), restore("u1"), undo(2), undo(3)], {"u1"}),
    "two removed, one restored": ([add(), add("u2"), remove("u1", "u2"), restore("u2")], {"u2"}),
    "an undone addition": ([add(), undo(0)], set()),
    "an undone removal": ([add(), remove("u1"), undo(1)], {"u1"}),
    "an undone undo": ([add(), remove("u1"), undo(1), undo(2)], set()),
    "an undone undo of an undo": ([add(), remove("u1"), undo(1), undo(2), undo(3)], {"u1"}),
    "undone twice": ([add(), remove("u1"), undo(1), undo(1)], {"u1"}),
    "one of two undos undone": ([add(), remove("u1"), undo(1), undo(1), undo(3)], {"u1"}),
    "an undo of what is not known": ([add(), undo(9)], {"u1"}),
    "an undo from before": ([undo(1), add()], {"u1"}),
    "an undo of itself": ([add(), undo(1)], {"u1"}),
    "two removals, one undone": ([add(), remove("u1"), remove("u1"), undo(2)], set()),
    "two removed, both brought back": ([add(), add("u2"), remove("u1", "u2"), undo(2)], {"u1", "u2"}),
    "only tagged": ([tag(k="v")], set()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_present(case: str) -> None:
    changes, present = CASES[case]
    assert set(event.fold(history(*changes))) == present


def test_the_last_writer_of_a_tag_wins_key_by_key() -> None:
    changes = history(add(), tag(a="1", b="1"), tag(b="2"), event.tagged("u1", set_to={"c": "3"}, unset=["a"]))
    state = event.fold(changes)["u1"]
    assert state.tags({"a": "0", "birth": "x"}) == {"birth": "x", "b": "2", "c": "3"}
    assert event.fold([*changes, *history(*[undo(9)] * 4, undo(2))[4:]])["u1"].tags({}) == {"b": "1", "c": "3"}


def test_of_two_tags_at_one_time_that_of_the_greater_id_wins() -> None:
    low, high = (Event(IDS[i], NOW + 1, "w", i, event.TAG, {"uuid": "u1", "set": {"k": str(i)}}) for i in (1, 2))
    for events in ([low, high], [high, low]):
        assert event.fold([*history(add()), *events])["u1"].tags({}) == {"k": "2"}


def test_a_change_that_was_written_twice_counts_once_as_the_later() -> None:
    first = Event(IDS[1], NOW + 1, "w", 2, event.TAG, {"uuid": "u1", "set": {"k": "first"}}, write_id="w1")
    between = Event(IDS[2], NOW + 2, "w", 3, event.TAG, {"uuid": "u1", "set": {"k": "between"}})
    again = Event(IDS[3], NOW + 3, "w", 4, event.TAG, {"uuid": "u1", "set": {"k": "first"}}, write_id="w1")
    assert event.fold([*history(add()), first, between])["u1"].tags({}) == {"k": "between"}
    assert event.fold([*history(add()), first, between, again])["u1"].tags({}) == {"k": "first"}
    assert event.valid([first, again]) == [again]


def test_a_change_that_was_written_twice_is_undone_as_one() -> None:
    change, at_home = {"uuids": ["u1"]}, IDS[1]
    first = Event(at_home, NOW + 1, "w", 2, event.REMOVE, change)
    elsewhere = Event(IDS[2], NOW + 2, "w", 3, event.REMOVE, change, write_id=at_home)
    for known in ([first], [elsewhere], [first, elsewhere]):
        undoing = later(event.undone(known[:1]))
        assert undoing.undoes == (at_home,)
        assert set(event.fold([*history(add()), *known, undoing])) == {"u1"}


def test_the_made_time_is_that_of_the_last_making_or_reaffirming() -> None:
    reaffirm = event.Draft(event.REAFFIRM, {"uuids": ["u1"], "run": "r"})
    state = event.fold(history(add(), tag(k="v"), reaffirm))["u1"]
    assert (state.added_us, state.made_us) == (NOW, NOW + 2)
    assert event.fold(history(add(), tag(k="v"), reaffirm, undo(2)))["u1"].made_us == NOW


def test_committing_and_renaming_can_be_undone() -> None:
    commit = event.Draft(event.COMMIT, {"uuids": ["u1"]})
    rename = event.Draft(event.RENAME, {"uuid": "u1", "name": "new"})
    state = event.fold(history(add(), commit, rename))["u1"]
    assert (state.committed, state.name) == (True, "new")
    state = event.fold(history(add(), commit, rename, undo(1, 2)))["u1"]
    assert (state.committed, state.name) == (False, None)


def test_a_state_holds_the_manifest_as_it_is_hashed() -> None:
    body: dict[str, canonical.Json] = {"uuid": "u1", "b": [1, 2.0], "a": "é"}
    name = digest.of_json(body)
    [state] = event.fold(history(event.added("u1", name, body))).values()
    assert state.body is not None
    assert digest.of_bytes(state.body) == state.manifest == name
    [state] = event.fold(history(event.added("u1", name, None))).values()
    assert (state.manifest, state.body) == (name, None)


@pytest.mark.slow
@given(body=st.dictionaries(st.text(), st.text() | st.none()), actor=st.text() | st.just('"body":null'))
def test_a_body_that_was_encoded_before_makes_the_same_event(body: dict[str, canonical.Json], actor: str) -> None:
    def made(held: dict[str, canonical.Json]) -> Event:
        payload = event.added("u1", A, held).payload
        return Event("id", NOW, "01HOME", 1, event.ADD, payload, actor=actor, undoes=('"body":null',))

    assert event.encode(made(canonical.Encoded({"body": None, **body}))) == event.encode(made({"body": None, **body}))


@given(
    body=st.dictionaries(st.text() | st.sampled_from(["body", "manifest"]), st.text() | st.none()),
    text=st.text() | st.sampled_from(['"body":', ',"manifest":']),
)
def test_the_manifest_in_the_bytes_of_an_event_is_as_it_is_hashed(body: dict[str, canonical.Json], text: str) -> None:
    payload = event.added(text, A, body).payload
    line = event.encode(Event("id", NOW, "01HOME", 1, event.ADD, payload, actor=text, write_id=text, undoes=(text,)))
    assert event.manifest_in(line) == canonical.encode(body)
    assert event.manifest_in(b"no event") == b""


def test_the_bytes_of_an_event_are_these() -> None:
    """Frozen: they must never change."""
    made = Event(
        id="01K742SG000000000000000007",
        time_us=NOW,
        writer="01HOME",
        seq=3,
        kind=event.TAG,
        payload={"uuid": "u1", "set": {"k": "é"}, "unset": []},
        actor="me@host",
        write_id="w1",
        undoes=("01A",),
        requires=("x",),
        valid_until_us=NOW + 1,
    )
    assert event.encode(made) == (
        rb'{"actor":"me@host","id":"01K742SG000000000000000007","kind":"tag",'
        rb'"payload":{"set":{"k":"\u00e9"},"unset":[],"uuid":"u1"},"requires":["x"],"seq":3,"time":1760000000000000,'
        rb'"undoes":["01A"],"valid_until":1760000000000001,"write":"w1","writer":"01HOME"}'
    )
    assert event.decode(event.encode(made)) == made


@pytest.mark.parametrize("payload", [{"uuid": None}, {"uuid": 1, "uuids": 2}, {"uuids": {"old": "new"}}, {}])
def test_an_event_of_a_kind_to_come_speaks_of_nothing_whatever_it_holds(payload: dict[str, canonical.Json]) -> None:
    read = event.decode(event.encode(Event(event.ulid(1), 1, "w", 1, "to-come", payload)))
    assert read.payload == payload
    assert read.subjects == ()
    assert event.fold([read]) == {}


def test_a_field_to_come_does_not_change_what_an_event_speaks_of() -> None:
    assert Event(event.ulid(1), 1, "w", 1, event.REMOVE, {"uuid": "a", "uuids": ["b"]}).subjects == ("b",)


def test_what_an_event_does_not_say_is_not_written() -> None:
    made = Event(IDS[0], NOW, "w", 1, "strange", write_id=IDS[0])
    assert canonical.decode(event.encode(made)) == {
        "id": IDS[0],
        "time": NOW,
        "writer": "w",
        "seq": 1,
        "kind": "strange",
        "payload": {},
    }
    assert event.decode(event.encode(made)) == made


def test_ulids_sort_by_their_time_in_milliseconds() -> None:
    """The example of the ULID specification, and the ends of its range."""
    assert event.ulid(1_469_918_176_385_000, entropy=0)[:10] == "01ARYZ6S41"
    assert event.ulid(0, entropy=0) == "0" * 26
    assert event.ulid(((1 << 48) - 1) * 1000, entropy=(1 << 80) - 1) == "7" + "Z" * 25
    times = [NOW + i * 1000 for i in range(100)]
    made = [event.ulid(time) for time in times]
    assert made == sorted(made)
    assert len({event.ulid(NOW) for _ in range(1000)}) == 1000


ADD = {"uuid": "u", "manifest": A}
BROKEN: dict[str, dict[str, Any]] = {
    "an id that is a number": {"id": 1},
    "an id that is no Unicode": {"id": "\ud800"},
    "a time that is text": {"time": "now"},
    "a time before all time": {"time": -1},
    "a time beyond all clocks": {"time": 1 << 62},
    "a seq beyond all counting": {"seq": 1 << 64},
    "a writer that is a list": {"writer": []},
    "a kind that is null": {"kind": None},
    "a payload that is text": {"payload": "x"},
    "a payload that is a list": {"payload": []},
    "undoes that is a number": {"undoes": 1},
    "undoes that hold numbers": {"undoes": [1]},
    "an addition of nothing": {"kind": "add", "payload": {}},
    "an addition without manifest": {"kind": "add", "payload": {"uuid": "u"}},
    "an addition whose manifest is no digest": {"kind": "add", "payload": ADD | {"manifest": "x"}},
    "an addition whose manifest is a number": {"kind": "add", "payload": ADD | {"manifest": 1}},
    "an addition whose body is text": {"kind": "add", "payload": ADD | {"body": "x"}},
    "an addition of a number": {"kind": "add", "payload": ADD | {"uuid": 1}},
    "an addition of what is no Unicode": {"kind": "add", "payload": ADD | {"uuid": "\udcff"}},
    "a removal of text": {"kind": "remove", "payload": {"uuid": "u"}},
    "a removal of numbers": {"kind": "remove", "payload": {"uuids": [1]}},
    "a restoring of numbers": {"kind": "restore", "payload": {"uuids": [1]}},
    "a commit of a number": {"kind": "commit", "payload": {"uuids": 1}},
    "a tag on nothing": {"kind": "tag", "payload": {"set": {}}},
    "a tag that is a number": {"kind": "tag", "payload": {"uuid": "u", "set": {"k": 1}}},
    "tags that are a list": {"kind": "tag", "payload": {"uuid": "u", "set": ["k"]}},
    "a tag to unset that is a list": {"kind": "tag", "payload": {"uuid": "u", "unset": [[]]}},
    "a new name that is null": {"kind": "rename", "payload": {"uuid": "u", "name": None}},
    "a rename without a name": {"kind": "rename", "payload": {"uuid": "u"}},
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_event_that_the_fold_cannot_use_is_corrupt(what: str) -> None:
    """It is refused where it is read, so that the fold never meets it."""
    fields: dict[str, Any] = {"id": IDS[0], "time": NOW, "writer": "w", "seq": 1, "kind": "undo", "payload": {}}
    event.decode(canonical.encode(fields))
    with pytest.raises(Corrupt, match="not an event"):
        event.decode(canonical.encode({**fields, **BROKEN[what]}))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_event_are_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="not an event"):
        event.decode(data)
