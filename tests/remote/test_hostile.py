"""Whatever lies on a remote, and whatever comes of it on its way: right, or left out with a note; nothing elsewhere."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from disdat.context import Context, Home
from disdat.core import canonical, event, publication
from disdat.core.canonical import Json
from disdat.core.digest import Digest, of_bytes, of_json
from disdat.core.event import Event
from disdat.core.places import MARKER, context_key, object_key, pack_key
from disdat.core.publication import Said
from disdat.errors import Conflict, Corrupt, DigestMismatch, DisdatError, ObjectNotFound, UnknownFormat
from disdat.ops import bundles, checkout, contexts, fetching, find, localizing, maintain, push, remotes
from disdat.ops.bundles import Birth
from disdat.remote import compaction, snapshots
from disdat.store.backend import Backend
from tests.remote.conftest import Opened
from tests.servers.faults import CutReply, FlipReply, Rule
from tests.servers.proxy import Proxy

UUID = "11111111-1111-4111-8111-111111111111"
EVENTS = context_key("shared", "events/")
SMALL, LARGE = "s" * 40_000, "l" * 100_000


def joined(root: Path, url: str) -> Context:
    return remotes.bind(contexts.create(Home(root), "work"), "shared", url, layout="packed").context


def add(context: Context, name: str, value: object) -> str:
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return made.uuid


def push_all(context: Context) -> None:
    push.push(context, push.selected(context))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def ann(remote: Path, tmp_path: Path) -> Context:
    """Somebody who has pushed a value in a pack and a large one."""
    ann = joined(tmp_path / "ann", f"file://{remote}")
    add(ann, "small", SMALL)
    add(ann, "large", LARGE)
    push_all(ann)
    return ann


@pytest.fixture
def bob(ann: Context, remote: Path, tmp_path: Path) -> Context:
    return joined(tmp_path / "bob", f"file://{remote}")


def files(remote: Path, below: str) -> list[Path]:
    return sorted(path for path in (remote / below).rglob("*") if path.is_file())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def publish(context: Context, said: Said) -> None:
    """Publish what no version of ours would."""
    with context.remote.mirror() as mirror:
        mirror.publish(said)


def added(body: dict[str, Json], time_us: int) -> Event:
    draft = event.added(UUID, of_json(body), body)
    return Event(event.ulid(time_us), time_us, event.ulid(0, entropy=9), 1, draft.kind, draft.payload)


def body(**fields: Json) -> dict[str, Json]:
    """A manifest, with some fields."""
    usual: dict[str, Json] = {"format": 1, "uuid": UUID, "created": 1, "creator": "x", "home": "x", "name": "evil"}
    return usual | fields


# What lies there


@pytest.mark.parametrize("at", [0, 5, 100, -70, -3, -1])
def test_a_publication_that_was_damaged_is_named_and_the_others_are_fetched(
    ann: Context, bob: Context, remote: Path, at: int
) -> None:
    add(ann, "later", 3)
    first, *_ = files(remote, EVENTS)
    flip(first, at)
    push_all(ann)
    for _ in range(2):
        fetched = fetching.fetch(bob)
        assert [each.key for each in fetched.refused] == [EVENTS + first.name]
        assert bob.catalog.names() == ["later"]
    flip(first, at)
    assert len(fetching.fetch(bob).new) == 2
    assert not fetching.fetch(bob).refused


@pytest.mark.parametrize("below", ["packs", "objects"])
def test_a_flipped_byte_on_the_remote_is_found_and_named(ann: Context, bob: Context, remote: Path, below: str) -> None:
    fetching.fetch(bob)
    [path] = files(remote, below)
    flip(path, 3000)
    name = "small" if below == "packs" else "large"
    with pytest.raises(DigestMismatch, match=path.name):
        localizing.localize(bob, [find.need(bob, name)])
    other = "large" if below == "packs" else "small"
    localizing.localize(bob, [find.need(bob, other)])
    stored = bob.home.store
    for digest in list(stored.iter_digests()):
        stored.verify(digest)
    flip(path, 3000)
    localizing.localize(bob, [find.need(bob, name)])
    assert bundles.value(bob, find.need(bob, name).uuid) in (SMALL, LARGE)


def test_what_is_damaged_in_one_place_is_taken_from_another(ann: Context, bob: Context, remote: Path) -> None:
    [pack] = files(remote, "packs")
    flip(pack, 3000)
    digest = next(d for d, size in ann.home.store.sizes() if size == 40_000 or 39_000 < size < 42_000)
    data = ann.home.store.read(digest)
    ann.remote.backend.put(object_key(digest), data)
    publish(ann, Said(objects=[(digest, len(data))]))
    ann.remote.backend.put(pack_key("ab" * 32), b"x" * 8 + data)
    index = digest.raw + (8).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    publish(ann, Said(packs={"ab" * 32: index}))
    path = remote / object_key(digest)
    flip(path, 0)
    fetching.fetch(bob)
    localizing.localize(bob, [find.need(bob, "small")])
    assert bundles.value(bob, find.need(bob, "small").uuid) == SMALL


def test_a_wrong_object_is_not_kept(ann: Context, bob: Context, remote: Path) -> None:
    [path] = files(remote, "objects")
    path.chmod(0o644)
    path.write_bytes(bytes(reversed(path.read_bytes()[:-1])) + b"!")
    fetching.fetch(bob)
    with pytest.raises(DigestMismatch):
        localizing.localize(bob, [find.need(bob, "large")])
    assert list(bob.home.store.iter_digests()) == []
    assert files(bob.home.root, "store/staging") == []


@pytest.mark.parametrize(
    ("marker", "error"),
    [
        (b"", Corrupt),
        (b"\0" * 100_000, Corrupt),
        (b"[]", Corrupt),
        (b'{"format":1}', Corrupt),
        (b'{"format":1,"id":"x","readers":[],"writers":[]}', Corrupt),
        (b'{"format":1,"id":"01J00000000000000000000000","readers":["new"],"writers":[]}', UnknownFormat),
        (b'{"format":1,"id":"01J00000000000000000000000","readers":[],"writers":["new"]}', UnknownFormat),
        (b'{"format":2,"id":"01J00000000000000000000000","readers":[],"writers":[]}', UnknownFormat),
        (b'{"name":"another program","version":"1.0.0"}', Corrupt),
    ],
)
def test_a_marker_of_a_later_version_or_another_program_is_refused_and_left(
    ann: Context, bob: Context, remote: Path, marker: bytes, error: type[DisdatError]
) -> None:
    (remote / MARKER).chmod(0o644)
    (remote / MARKER).write_bytes(marker)
    before = files(remote, "")
    acts: list[Callable[[], object]] = [
        lambda: fetching.fetch(bob),
        lambda: push_all(ann),
        lambda: remotes.bind(ann, "else", f"file://{remote}", layout="packed"),
    ]
    for act in acts:
        with pytest.raises(error, match=MARKER):
            act()
    assert files(remote, "") == before
    assert (remote / MARKER).read_bytes() == marker


# What is said


HOSTILE_PATHS = ["../x", "/etc/x", "a/../../x", "a//b", "./a", "a/.", "a\0b", "", "%2e%2e/x", "a/%00", "\ud800"]


def entry(path: str, digest: Digest, size_bytes: int) -> dict[str, Json]:
    return {"name": path, "digest": digest, "size": size_bytes}


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_tree_that_leaves_its_directory_is_never_written(
    ann: Context, bob: Context, tmp_path: Path, path: str
) -> None:
    data = b"evil" * 20_000
    digest = of_bytes(data)
    ann.remote.backend.put(object_key(digest), data)
    evil = body(tree={"entries": [entry(path, digest, len(data))]})
    with ann.remote.mirror() as mirror:
        try:
            mirror.publish(Said(events=[added(evil, ann.home.clock_us())], objects=[(digest, len(data))]))
        except (DisdatError, UnicodeEncodeError):
            return  # not even said
    before = set(tmp_path.rglob("*"))
    fetching.fetch(bob)
    assert set(bob.catalog.names()) - {"evil"} == {"small", "large"}
    with pytest.raises(DisdatError):
        checkout.checkout(bob, UUID, tmp_path / "out")
    with pytest.raises(DisdatError):
        localizing.localize(bob, [find.by_uuid(bob, UUID)])
    made = {each for each in set(tmp_path.rglob("*")) - before if not each.is_relative_to(tmp_path / "bob")}
    assert {each for each in made if each.is_file()} == set()
    assert not [each for each in tmp_path.rglob("x") if each.is_file()]
    localizing.localize(bob, [find.need(bob, name) for name in ("small", "large")])


def test_a_tree_with_names_that_cannot_be_here_is_told_and_nothing_is_half_there(
    ann: Context, bob: Context, tmp_path: Path
) -> None:
    data = b"s" * 1000
    digest = of_bytes(data)
    ann.remote.backend.put(object_key(digest), data)
    logical = "tree1:" + digest
    frames: list[Json] = [{"name": "", "kind": "directory", "logical": logical, "path": "", "form": "path"}]
    odd = body(tree={"entries": [entry("a", digest, 1000), entry("d/" + "n" * 300, digest, 1000)]}, frames=frames)
    with ann.remote.mirror() as mirror:
        mirror.publish(Said(events=[added(odd, ann.home.clock_us())], objects=[(digest, 1000)]))
    fetching.fetch(bob)
    with pytest.raises(Conflict, match="nothing was done"):
        checkout.checkout(bob, UUID, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(Conflict, match="nothing was done"):
        bundles.value(bob, UUID)
    assert not bob.bundle_directory(UUID).exists()
    assert checkout.checkout(bob, UUID, tmp_path / "out", ["a"]).written == ("a",)


@pytest.mark.parametrize(
    "fields",
    [
        {"frames": 5},
        {"frames": [{"name": "", "kind": "table", "digest": "nonsense"}]},
        {"tree": {"root": "blake3:" + "0" * 64, "count": -1, "size": 1 << 80}},
        {"tags": [1, 2]},
        {"format": 9},
        {"uuid": "22222222-2222-4222-8222-222222222222"},
        {"requires": ["a feature to come"]},
    ],
)
def test_a_manifest_that_is_none_harms_nobody_else(ann: Context, bob: Context, fields: dict[str, Json]) -> None:
    publish(ann, Said(events=[added(body(**fields), ann.home.clock_us())]))
    fetching.fetch(bob)
    localizing.localize(bob, [find.need(bob, name) for name in ("small", "large")])
    assert bundles.value(bob, find.need(bob, "small").uuid) == SMALL
    add(bob, "mine", 1)
    push_all(bob)
    bob.catalog.reindex()
    assert {"small", "large", "mine"} <= set(bob.catalog.names())


ABSURD = [1 << 50, (1 << 53) - 1, 100_001, 99_999, 0]


def test_a_manifest_that_was_not_there_is_read_by_the_fetch_that_finds_it(
    ann: Context, bob: Context, remote: Path
) -> None:
    """What is said of a bundle meanwhile counts, and until then each fetch says what is missing."""
    uuid = bundles.write(ann, 1, Birth(name="long", tags={"why": SMALL})).uuid
    bundles.commit(ann, [find.by_uuid(ann, uuid)])
    push_all(ann)
    [digest] = ann.catalog.manifest_objects([find.by_uuid(ann, uuid)])
    hidden = [path for path in files(remote, "packs") if digest.raw in path.read_bytes()]
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))
    assert [each.why.partition(":")[0] for each in fetching.fetch(bob).refused] == ["a manifest"]
    assert list(bob.catalog.unreadable()) == [uuid]
    bundles.tag(ann, find.by_uuid(ann, uuid), set_to={"said": "since"})
    push_all(ann)
    again = fetching.fetch(bob)
    assert again.new == ()
    assert [each.why.partition(":")[0] for each in again.refused] == ["a manifest"]
    for path in hidden:
        path.with_suffix(".hidden").rename(path)
    healed = fetching.fetch(bob)
    assert healed.new == (uuid,)
    assert healed.refused == ()
    assert bob.catalog.unreadable() == {}
    row = find.by_uuid(bob, uuid)
    assert (row.name, row.tags) == ("long", {"why": SMALL, "said": "since"})
    assert fetching.fetch(bob).new == ()
    before = list(bob.catalog.pages())
    bob.catalog.reindex()
    assert list(bob.catalog.pages()) == before


@pytest.mark.parametrize("length", ABSURD)
def test_a_length_that_is_not_true_is_not_believed(ann: Context, bob: Context, remote: Path, length: int) -> None:
    digest = next(digest for digest, size in ann.home.store.sizes() if size >= 100_000)
    publish(ann, Said(objects=[(digest, length)]))
    data = ann.home.store.read(digest)
    (remote / object_key(digest)).unlink()
    fetching.fetch(bob)
    with pytest.raises((ObjectNotFound, Corrupt)):
        localizing.localize(bob, [find.need(bob, "large")])
    ann.remote.backend.put(object_key(digest), data)
    publish(ann, Said(objects=[(digest, len(data))]))
    fetching.fetch(bob)
    localizing.localize(bob, [find.need(bob, "large")])
    assert files(bob.home.root, "store/staging") == []


@pytest.mark.parametrize(
    "lie",
    [(0, 40_000), (9, 40_000), (8, 39_000), (1 << 40, 40_000), (8, 1 << 52), (30_000, 40_000), (1 << 52, 1)],
)
def test_a_pack_that_lies_about_its_offsets_gives_nothing_wrong(
    ann: Context, bob: Context, remote: Path, lie: tuple[int, int]
) -> None:
    [pack] = files(remote, "packs")
    digest = next(d for d, size in ann.home.store.sizes() if 39_000 < size < 42_000)
    index = digest.raw + lie[0].to_bytes(8, "little") + lie[1].to_bytes(8, "little")
    other = of_bytes(b"nothing").raw + (50).to_bytes(8, "little") + (20_000).to_bytes(8, "little")
    publish(ann, Said(packs={pack.stem: index + other}))
    fetching.fetch(bob)
    with pytest.raises((Corrupt, ObjectNotFound)):
        localizing.localize(bob, [find.need(bob, "small")])
    assert list(bob.home.store.iter_digests()) == []
    localizing.localize(bob, [find.need(bob, "large")])


def test_an_event_of_a_time_to_come_is_left_out(ann: Context, bob: Context) -> None:
    later_us = ann.home.clock_us() + 2 * publication.AHEAD_US
    publish(ann, Said(events=[added(body(), later_us)]))
    [refused] = fetching.fetch(bob).refused
    assert "still to come" in refused.why
    assert "evil" not in bob.catalog.names()
    assert bob.catalog.counts().bundles == 2


def test_a_publication_under_another_name_is_left_out(ann: Context, bob: Context, remote: Path) -> None:
    [first] = files(remote, EVENTS)
    copy = first.with_name(f"{event.ulid(ann.home.clock_us())}-{event.ulid(0)}.json")
    copy.write_bytes(first.read_bytes())
    fetched = fetching.fetch(bob)
    assert [each.key for each in fetched.refused] == [EVENTS + copy.name]
    assert len(fetched.new) == 2


def test_what_is_too_large_for_a_publication_is_not_read(ann: Context, bob: Context, remote: Path) -> None:
    large = remote / EVENTS / f"{event.ulid(ann.home.clock_us())}-{event.ulid(0)}.json"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    fetched = fetching.fetch(bob)
    assert [each.key for each in fetched.refused] == [EVENTS + large.name]
    assert "takes" in fetched.refused[0].why
    assert len(fetched.new) == 2


@pytest.mark.parametrize("what", ["gone", "damaged", "longer", "another"])
def test_a_body_that_is_not_there_stops_nobody(ann: Context, bob: Context, remote: Path, what: str) -> None:
    before = set(files(remote, "objects"))
    items = [("x" * 9000 + str(number), Birth(f"many{number}")) for number in range(130)]
    made = bundles.write_many(ann, items)
    bundles.commit(ann, [find.by_uuid(ann, each.uuid) for each in made])
    push_all(ann)
    [path] = set(files(remote, "objects")) - before
    data = path.read_bytes()
    path.chmod(0o644)
    path.unlink()
    if what != "gone":
        damaged = data[:-1] + bytes([data[-1] ^ 1])  # what it ends with is another byte each time
        path.write_bytes({"damaged": damaged, "longer": data + b"!", "another": b"{}"}[what])
    for _ in range(2):
        fetched = fetching.fetch(bob)
        assert len(fetched.refused) == 1
        assert set(bob.catalog.names()) == {"small", "large"}
    path.write_bytes(data)
    assert len(fetching.fetch(bob).new) == 130


# What is compressed


@pytest.fixture
def gathered(ann: Context) -> Context:
    """The same, whose publications were gathered in a snapshot."""
    with ann.remote.mirror() as mirror:
        compaction.compact(mirror)
    return ann


@pytest.mark.parametrize("at", [0, 10, -5, None])
def test_a_snapshot_that_is_damaged_is_named_and_what_lies_alone_is_fetched(
    gathered: Context, bob: Context, remote: Path, at: int | None
) -> None:
    [path] = files(remote, context_key("shared", "snapshots"))
    if at is None:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-20])
    else:
        flip(path, at)
    fetched = fetching.fetch(bob)
    assert [each.key.rpartition("/")[2] for each in fetched.refused] == [path.name]
    assert len(fetched.new) == 2
    add(gathered, "later", 1)
    push_all(gathered)
    with gathered.remote.mirror() as mirror:
        assert compaction.compact(mirror).gathered == 2
    assert path.exists()
    assert len(fetching.fetch(bob).new) == 1


BOMB = """
import sys
from pathlib import Path
from disdat.errors import DisdatError
from disdat.context import Home
from disdat.ops import fetching
context = Home(Path(sys.argv[1])).context("work")
refused = len(fetching.fetch(context).refused)
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(refused, int(peak) >> 10)
"""


def compressed(pieces: Iterator[bytes]) -> bytes:
    context = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join([*(context.compress(piece) for piece in pieces), context.flush()])


def zeros(size_bytes: int) -> Iterator[bytes]:
    return (bytes(16 << 20) for _ in range(size_bytes >> 24))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["snapshot", "body"])
def test_a_little_that_would_decompress_to_much_takes_no_memory(ann: Context, bob: Context, where: str) -> None:
    bomb = compressed(zeros(2 << 30))
    backend: Backend = ann.remote.backend
    if where == "snapshot":
        backend.put(context_key("shared", f"snapshots/{event.ulid(ann.home.clock_us())}.zst"), bomb)
    else:
        digest = of_bytes(bomb)
        backend.put(object_key(digest), bomb)
        made = publication.made(Said(), time_us=ann.home.clock_us(), writer=f"{ann.home.id}.{ann.id}", seq=7)
        head = publication.to_json(made) | {"body": {"digest": digest, "size": len(bomb)}}
        data = canonical.encode(head)
        backend.put(EVENTS + made.name, b"%b\n%b\n" % (data, of_bytes(data).hex.encode()))
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(bob.home.root)], capture_output=True, text=True, check=True, timeout=60
    )
    refused, peak_mib = map(int, done.stdout.split())
    assert refused == 1
    assert peak_mib < 2 * (snapshots.MAX_BYTES >> 20) + 150


# On the way


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/events/0", "/packs/", "/objects/", r"\?list-type"])
def test_what_is_damaged_on_its_way_only_is_asked_for_again(
    through_proxy: Opened, proxy: Proxy, tmp_path: Path, path: str
) -> None:
    url = through_proxy().url
    ann, bob = joined(tmp_path / "ann", url), joined(tmp_path / "bob", url)
    uuids = {"small": add(ann, "small", SMALL), "large": add(ann, "large", LARGE)}
    push_all(ann)
    source = random.Random(path)
    for number in range(6):
        fault = FlipReply(at=source.randrange(200)) if number % 2 else CutReply(after=source.randrange(200))
        proxy.reset()
        proxy.add(Rule(fault, method="GET", path=path, times=1))
        try:
            fetching.fetch(bob)
            localizing.localize(bob, [find.by_uuid(bob, uuid) for uuid in uuids.values()])
        except DisdatError:
            assert path == r"\?list-type", "only what a listing says cannot be verified"
    proxy.reset()
    fetching.fetch(bob)
    localizing.localize(bob, [find.by_uuid(bob, uuid) for uuid in uuids.values()])
    assert maintain.verify(bob).findings == ()
    assert bundles.value(bob, uuids["small"]) == SMALL
