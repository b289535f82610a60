"""What is known of a remote is what its publications say, however much it is."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disdat.core import publication
from disdat.core.digest import of_bytes
from disdat.core.publication import Dropped, PlainFile, Said
from disdat.durable import Disk
from disdat.remote import known
from disdat.remote.known import Known, Stored

UUIDS = [f"{digit * 8}-0000-4000-8000-000000000000" for digit in "01f"]
NOW_US = 1_790_000_000_000_000

uuids = st.sampled_from(UUIDS)
places = st.tuples(uuids, st.sampled_from(["a", "b/c", "b0"]))
sayings = st.one_of(
    st.lists(places, min_size=1, max_size=4).map(
        lambda some: Said(files=[PlainFile(uuid, path, of_bytes(b"x"), 1) for uuid, path in some])
    ),
    st.lists(places, min_size=1, max_size=2).map(lambda some: Said(dropped=Dropped(files=tuple(some)))),
    st.lists(uuids, min_size=1, max_size=2).map(lambda some: Said(released=some)),
)


@settings(max_examples=30, deadline=None)
@given(said=st.lists(sayings, max_size=8), order=st.randoms(use_true_random=False), page=st.integers(1, 4))
def test_bundles_with_files_there_are_those_that_were_not_released_since(
    said: list[Said], order: Random, page: int
) -> None:
    """In whatever order publications are heard of, and however many files are looked at at a time."""
    writer = publication.writer("0" * 26, "1" * 26)
    made = [
        publication.made(each, time_us=NOW_US + number * 1000, writer=writer, seq=number)
        for number, each in enumerate(said)
    ]
    expected: dict[str, str] = {}
    there: dict[tuple[str, str], str] = {}
    released: dict[str, str] = {}
    for each in made:
        there |= {(file.uuid, file.path): each.id for file in each.said.files}
        for place in each.said.dropped.files:
            there.pop(place, None)
        released |= dict.fromkeys(each.said.released, each.id)
    for (uuid, _), id_ in sorted(there.items()):
        expected[uuid] = max(expected.get(uuid, ""), id_)
    expected = {uuid: id_ for uuid, id_ in expected.items() if id_ > released.get(uuid, "")}

    heard = list(made)
    order.shuffle(heard)
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(known, "_PAGE", page)
        knows = Known(Path(directory), disk=Disk())
        for each in heard:
            knows.locate([Stored(each, NOW_US)], "shared")
            knows.apply([Stored(each, NOW_US)])
        found = [each for some in knows.announced("shared", 2) for each in some.items()]
        assert dict(found) == expected
        assert len(found) == len(expected)
        assert set(knows.writers([id_ for _, id_ in found]).values()) <= {writer}
        knows.close()
