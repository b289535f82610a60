"""What a task writes to S3 and is too large to be hashed is handed on, reused and shared as all else is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.errors import Corrupt
from disdat.ops import bundles, contexts, details, fetching, find, localizing, remotes
from disdat.pipe import PipeTask
from disdat.pipeline.run import apply
from disdat.store.backend import open_backend
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

content = {"now": b""}
"""What the task writes."""


def write(url: str, data: bytes) -> None:
    """Write as Spark would."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    open_backend(f"s3://{bucket}").put_file(key, io.BytesIO(data), len(data))


class WritesMuch(PipeTask):
    def pipe_run(self) -> str:
        url = self.create_remote_output_file("large.bin")
        assert isinstance(url, str)
        write(url, content["now"])
        return url


class Reads(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("large", WritesMuch, {})

    def pipe_run(self, large: str) -> int:
        return Path(large).read_bytes()[0]


@pytest.fixture
def make(ministack: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Context]:
    """Make a context in a home of its own, bound to one bucket."""
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("DISDAT_REMOTE_WEAK_FROM", "100000")
    url = f"s3://{ministack.fresh_bucket()}/team"

    def made(who: str) -> Context:
        return remotes.bind(contexts.create(Home(tmp_path / who), "work"), "shared", url, layout="packed").context

    return made


def test_it_is_read_by_others_unless_it_was_replaced(make: Callable[[str], Context]) -> None:
    ann, bob, cat = make("ann"), make("bob"), make("cat")
    content["now"] = data = os.urandom(1000) * 200
    assert apply(ann, Reads, {}, incremental_push=True) == {"success": True, "did_work": True}
    for context in (bob, cat):
        fetching.fetch(context)
    row = find.need(bob, "WritesMuch")
    assert [each.weak is not None for each in details.of(bob, row).files.values()] == [True]
    assert bundles.value(bob, find.need(bob, "Reads").uuid) == data[0]
    assert Path(str(bundles.value(bob, row.uuid))).read_bytes() == data
    write(f"{bob.remote.backend.url}/context/shared/files/{row.uuid}/large.bin", data[::-1])
    with pytest.raises(Corrupt, match="another object"):
        localizing.localize(cat, [row])
    assert Path(str(bundles.value(bob, row.uuid))).read_bytes() == data


def test_who_depends_on_it_runs_again_where_s3_says_something_else(make: Callable[[str], Context]) -> None:
    ann = make("ann")
    content["now"] = data = os.urandom(1000) * 200
    apply(ann, Reads, {})
    assert apply(ann, Reads, {})["did_work"] is False
    apply(ann, WritesMuch, {}, force=True)
    assert len(ann.catalog.versions("WritesMuch")) == 2
    assert apply(ann, Reads, {})["did_work"] is False
    content["now"] = data[::-1]
    apply(ann, WritesMuch, {}, force=True)
    assert apply(ann, Reads, {})["did_work"] is True
    assert bundles.value(ann, find.need(ann, "Reads").uuid) == data[-1]
