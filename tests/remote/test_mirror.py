"""Publishing and fetching: all see what was acknowledged, whoever wrote it, and a fetch costs what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from disdat.core import event, publication
from disdat.core.digest import of_bytes
from disdat.core.event import Event
from disdat.core.places import MARKER, Place, context_key, object_key
from disdat.core.publication import Dropped, Said
from disdat.durable import Disk
from disdat.remote import compaction, mirror, snapshots
from disdat.remote.known import Known
from disdat.remote.mirror import Mirror
from disdat.store.backend import Backend, KeyNotFound, Stored
from disdat.store.local import LocalBackend

NOW_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000
EVENTS = context_key("storms", "events/")


class Store(LocalBackend):
    """A directory whose clock is set by hand, and that counts what is asked of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.now_us = NOW_US
        self.times: dict[str, int] = {}
        self.asked: list[str] = []
        self.put(MARKER, b"{}")

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self.times[key] = self.now_us

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.asked.append("put")
        written = super().put_if_absent(key, data)
        if written:
            self.times[key] = self.now_us
        return written

    def get(self, key: str) -> bytes:
        self.asked.append("get")
        return super().get(key)

    def head(self, key: str) -> Stored:
        self.asked.append("head")
        return self._timed(super().head(key))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        self.asked.append("list")
        return map(self._timed, super().list(prefix, start_after=start_after))

    def _timed(self, found: Stored) -> Stored:
        return Stored(found.key, found.size_bytes, self.times[found.key], found.etag)


class Client:
    """One context that is bound to the store, with a clock of its own."""

    def __init__(self, store: Backend, directory: Path, number: int) -> None:
        directory.mkdir(parents=True)
        self.ahead_us = 0
        self.log: list[Event] = []
        self.seen: list[str] = []
        self.known = Known(directory, disk=Disk())
        self.name = publication.writer(event.ulid(0, entropy=number), event.ulid(0, entropy=number))
        self.store = store
        self.mirror = Mirror(store, "storms", self.known, writer=self.name, clock_us=self.clock)

    def clock(self) -> int:
        assert isinstance(self.store, Store)
        return self.store.now_us + self.ahead_us

    def receive(self, events: Sequence[Event], ids: Sequence[str]) -> None:
        self.log += events
        self.seen += ids

    def fetch(self) -> list[str]:
        """Return what was new, as texts."""
        known = len(self.log)
        self.mirror.fetch(self.receive)
        return [str(each.payload["name"]) for each in self.log[known:]]

    def publish(self, text: str) -> None:
        self.mirror.publish(Said(events=[renamed(text, self.clock())]))


def renamed(text: str, time_us: int) -> Event:
    """Return some event."""
    payload = {"uuid": "11111111-1111-4111-8111-111111111111", "name": text}
    return Event(event.ulid(time_us), time_us, "home", 1, event.RENAME, payload)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "remote")


@pytest.fixture
def clients(store: Store, tmp_path: Path) -> list[Client]:
    return [Client(store, tmp_path / f"client{number}", number) for number in range(3)]


def test_what_one_publishes_the_others_fetch(clients: list[Client]) -> None:
    ann, bob, cat = clients
    ann.publish("one")
    bob.publish("two")
    assert sorted(cat.fetch()) == ["one", "two"]
    assert cat.fetch() == []
    ann.publish("three")
    assert cat.fetch() == ["three"]
    assert ann.fetch() == ["two"]  # one's own is known


def test_fetching_nothing_new_takes_two_listings(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    for text in "abc":
        ann.publish(text)
    bob.fetch()
    store.asked.clear()
    assert bob.fetch() == []
    assert store.asked == ["list", "list"]


def test_a_wrong_clock_is_seen_and_corrected(clients: list[Client], store: Store) -> None:
    ann, bob, cat = clients
    cat.fetch()
    bob.publish("bob's")
    cat.fetch()
    ann.ahead_us = -120 * MINUTE_US
    store.asked.clear()
    ann.publish("late by clock")
    assert store.asked.count("put") == 2  # the first one told the time
    assert cat.fetch() == ["late by clock"]
    store.asked.clear()
    ann.publish("again")
    assert store.asked.count("put") == 1
    newest = max(each.key.rpartition("/")[2] for each in cat.mirror.listed())
    assert abs(event.ulid_time_us(newest[:26]) - store.now_us) < MINUTE_US


def test_a_lost_mirror_is_made_again(clients: list[Client], tmp_path: Path) -> None:
    ann, bob, _ = clients
    for text in "abc":
        ann.publish(text)
    bob.fetch()
    bob.known.close()
    for path in (tmp_path / "client1").glob("mirror.db*"):
        path.unlink()
    assert sorted(bob.fetch()) == ["a", "b", "c"]
    assert bob.mirror.known.last_seq(ann.name) == 3


def test_who_was_away_finds_what_was_gathered_meanwhile(clients: list[Client], store: Store) -> None:
    ann, bob, cat = clients
    bob.fetch()
    ann.publish("first")
    bob.fetch()
    cat.fetch()
    for number in range(5):
        ann.publish(f"{number}")
    store.now_us += 30 * 24 * 60 * MINUTE_US
    cat.publish("cat's first")
    cat.fetch()
    done = compaction.compact(cat.mirror)
    assert (done.gathered, done.deleted) == (7, 6)
    assert sorted(bob.fetch()) == ["0", "1", "2", "3", "4", "cat's first"]
    assert bob.fetch() == []
    assert ann.fetch() == ["cat's first"]


def test_two_compactions_leave_all_that_was_published(clients: list[Client], store: Store, tmp_path: Path) -> None:
    ann, bob, cat = clients
    for number in range(4):
        ann.publish(f"{number}")
    store.now_us += 30 * 24 * 60 * MINUTE_US
    compaction.compact(ann.mirror)
    ann.publish("after")
    store.now_us += 30 * 24 * 60 * MINUTE_US
    compaction.compact(bob.mirror)
    store.now_us += MINUTE_US
    compaction.compact(cat.mirror)
    assert len(cat.mirror.snapshots()) == 1
    assert cat.mirror.listed() == []
    late = Client(store, tmp_path / "late", 9)
    assert sorted(late.fetch()) == ["0", "1", "2", "3", "after"]


def test_a_younger_publication_stays_beside_its_snapshot(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    ann.publish("young")
    assert compaction.compact(bob.mirror).deleted == 0
    assert len(bob.mirror.listed()) == 1
    assert bob.fetch() == ["young"]


def test_a_snapshot_is_kept_that_has_what_ours_has_not() -> None:
    older = {"s1": frozenset({"a", "b"}), "s2": frozenset({"a", "x"})}
    day = snapshots.GRACE_US
    loose = {"e/a": 0, "e/b": day, "e/c": 0}
    assert snapshots.replaced(older, loose, frozenset({"a", "b"}), now_us=day + 1) == {"s1", "e/a"}


def test_what_cannot_be_used_is_told_and_left(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    ann.publish("good")
    key = EVENTS + f"{event.ulid(NOW_US, entropy=1)}-{event.ulid(NOW_US, entropy=1)}.json"
    store.put(key, b"garbage")
    store.put(EVENTS + "notes.txt", b"somebody's")
    for _ in range(2):
        fetched = bob.mirror.fetch(bob.receive)
        assert [each.key for each in fetched.refused] == [key]
    assert [each.payload["name"] for each in bob.log] == ["good"]


def test_one_that_was_stored_too_late_counts_for_nobody(clients: list[Client], store: Store) -> None:
    ann, bob, cat = clients
    said = Said(events=[renamed("late", NOW_US)])
    late = publication.made(said, time_us=NOW_US + MINUTE_US, writer=ann.name, seq=1)
    store.now_us += 2 * 60 * MINUTE_US
    store.put(EVENTS + late.name, publication.encode(late, lambda data: (of_bytes(data), len(data))))
    assert bob.fetch() == []
    assert cat.fetch() == []


def test_a_copied_bucket_keeps_all_of_its_publications(
    clients: list[Client], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is one is asked once, however much there is in it."""
    monkeypatch.setattr(mirror, "PORTION", 1)
    ann, _, _ = clients
    for text in "abc":
        ann.publish(text)
    copy = Store(tmp_path / "copy")
    copy.now_us = store.now_us + 365 * 24 * 60 * MINUTE_US
    for each in store.list():
        copy.put(each.key, store.get(each.key))
    assert sorted(Client(copy, tmp_path / "new", 7).fetch()) == ["a", "b", "c"]
    assert copy.asked.count("head") == 1


def test_a_reply_that_is_lost_does_not_publish_twice(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients

    class Deaf(Store):
        """Says that what it just stored was there before, as a request that was made again is told."""

        def put_if_absent(self, key: str, data: bytes) -> bool:
            super().put_if_absent(key, data)
            return False

    deaf = Deaf(store.root)
    deaf.times = store.times
    ann.mirror.backend = deaf
    ann.publish("once")
    assert bob.fetch() == ["once"]
    assert len(bob.mirror.listed()) == 1


def test_places_are_those_of_the_last_that_speaks_of_them(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    digest = of_bytes(b"x" * 70_000)
    ann.mirror.publish(Said(objects=[(digest, 70_000)]))
    bob.fetch()
    assert bob.known.places([digest]) == {digest: [Place(object_key(digest), 0, 70_000)]}
    store.now_us += MINUTE_US
    bob.mirror.publish(Said(dropped=Dropped(objects=(digest,))))
    assert bob.known.places([digest]) == {}
    ann.fetch()
    assert ann.known.places([digest]) == {}
    store.now_us += MINUTE_US
    ann.mirror.publish(Said(objects=[(digest, 70_000)]))
    bob.fetch()
    assert digest in bob.known.places([digest])


def test_much_is_read_back_from_a_body(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    ann.mirror.publish(Said(events=[renamed(f"{'x' * 500}{number}", NOW_US + number) for number in range(3000)]))
    assert [each.size_bytes < 1000 for each in bob.mirror.listed()] == [True]
    assert len(bob.fetch()) == 3000
    [body] = list(store.list("objects/"))
    store.put(body.key, b"other")
    fetched = clients[2].mirror.fetch(clients[2].receive)
    assert "damaged" in fetched.refused[0].why
    with pytest.raises(KeyNotFound):
        ann.mirror.read(EVENTS + "01J00000000000000000000000-01J00000000000000000000000.json")


class Slow(Store):
    """The same directory; what is created there arrives only some time after it was sent."""

    def __init__(self, store: Store, by_us: list[int]) -> None:
        super().__init__(store.root)
        self.times, self.now_us, self._by_us, self._clock = store.times, store.now_us, by_us, store

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._clock.now_us += self._by_us.pop(0) if self._by_us else 0
        self.now_us = self._clock.now_us
        return super().put_if_absent(key, data)


@pytest.mark.parametrize("minutes", [1, 4, 9, 20, 59, 61, 300])
def test_one_that_arrives_late_is_seen_by_those_who_looked_before(
    clients: list[Client], store: Store, minutes: int
) -> None:
    ann, bob, cat = clients
    for number in range(3):
        cat.publish(f"{number}")
        store.now_us += 2 * MINUTE_US
    bob.fetch()
    ann.mirror.backend = Slow(store, [minutes * MINUTE_US])
    busy = iter(range(minutes // 2))
    for number in busy:
        cat.publish(f"meanwhile {number}")
    bob.fetch()
    ann.publish("late")
    store.now_us += MINUTE_US
    cat.publish("after")
    assert "late" in bob.fetch()
    assert "late" in [str(each.payload["name"]) for each in bob.log]
    assert len([each for each in bob.log if each.payload["name"] == "late"]) <= 2


def test_what_arrives_after_its_sender_gave_up_counts_for_all_or_for_nobody(
    clients: list[Client], store: Store, tmp_path: Path
) -> None:
    ann, bob, cat = clients
    cat.publish("before")
    bob.fetch()
    said = Said(events=[renamed("zombie", NOW_US)])
    for number, minutes in enumerate([1, 8, 9, 11, 14, 30]):
        lost = publication.made(said, time_us=store.now_us, writer=ann.name, seq=1)
        store.now_us += minutes * MINUTE_US
        cat.publish(f"meanwhile {number}")
        bob.fetch()
        store.put(EVENTS + lost.name, publication.encode(lost, lambda data: (of_bytes(data), len(data))))
        bob.fetch()
        late = Client(store, tmp_path / f"late{number}", 20 + number)
        late.fetch()
        assert {each.id for each in late.log} == {each.id for each in bob.log}


def test_a_writer_alone_lists_what_is_new_only(clients: list[Client], store: Store) -> None:
    ann, _, _ = clients
    listed: list[str] = []

    class Listing(Store):
        def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
            found = [*super().list(prefix, start_after=start_after)]
            listed.extend(each.key for each in found)
            return iter(found)

    watched = Listing(store.root)
    watched.times = store.times
    ann.mirror.backend = watched
    for number in range(20):
        store.now_us = watched.now_us = store.now_us + 10 * MINUTE_US
        ann.publish(f"{number}")
        listed.clear()
        ann.fetch()
        assert len(listed) <= 3


def test_a_time_to_come_in_a_listing_hides_nothing_afterwards(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    ann.publish("a")
    [key] = [key for key in store.times if key.startswith(EVENTS)]
    right = store.times[key]
    store.times[key] += 365 * 24 * 60 * MINUTE_US
    bob.fetch()
    store.times[key] = right
    ann.publish("b")
    assert "b" in bob.fetch()


def test_what_was_damaged_on_its_way_is_fetched_however_late(clients: list[Client], store: Store) -> None:
    ann, bob, cat = clients
    ann.publish("a")
    [key] = [key for key in store.times if key.startswith(EVENTS)]
    good = store.get(key)
    store.put(key, b"garbage")
    assert [each.key for each in bob.mirror.fetch(bob.receive).refused] == [key]
    store.put(key, good)
    for number in range(3):
        store.now_us += 60 * MINUTE_US
        cat.publish(f"{number}")
    store.times[key] = NOW_US
    assert set(bob.fetch()) >= {"a", "0", "1", "2"}
    store.asked.clear()
    bob.fetch()
    assert store.asked == ["list", "list"]


def test_a_gap_that_stays_is_looked_into_once(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    said = Said(events=[renamed("later", NOW_US)])
    bob.fetch()
    for seq in (3, 4, 6):
        made = publication.made(said, time_us=store.now_us, writer=ann.name, seq=seq)
        store.put(EVENTS + made.name, publication.encode(made, lambda data: (of_bytes(data), len(data))))
        store.asked.clear()
        bob.fetch()
        assert store.asked.count("list") == (2 if seq == 4 else 4)
        store.asked.clear()
        bob.fetch()
        assert store.asked.count("list") == 2


def test_what_snapshots_have_is_not_read_again_to_be_gathered(clients: list[Client], store: Store) -> None:
    ann, bob, _ = clients
    for number in range(30):
        ann.publish(f"{number}")
    assert compaction.compact(bob.mirror).gathered == 30
    ann.publish("one more")
    store.asked.clear()
    assert compaction.compact(bob.mirror).gathered == 31
    assert store.asked.count("get") <= 2
