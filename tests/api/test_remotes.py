"""Sharing from Python: what one home pushes another has, and what cannot be done is an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from disdat import api, text
from disdat.errors import (
    AlreadyExists,
    BadQuery,
    BundleNotFound,
    ContextNotFound,
    InvalidInput,
    NotConfigured,
    PathNotFound,
)

OTHER = "import os; os.environ['DISDAT_HOME'] += '-of-another'; "
"""Begins a program that works in another home."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/shared"


@pytest.fixture
def bound(ctx: str, url: str) -> str:
    """A context that is bound to the remote context ``team``."""
    api.remote(ctx, "team", url)
    return ctx


def test_a_committed_bundle_is_there_for_others(bound: str, url: str, elsewhere: Callable[[str], str]) -> None:
    shared = api.Bundle(bound, "awesome_data", {"a": [1, 2.5]}).commit().push()
    there = elsewhere(
        f"{OTHER}name = api.clone({url!r}); found = api.get(name, 'awesome_data'); print(name, found.uuid, found.data)"
    )
    assert there == f"team {shared.uuid} {{'a': [1, 2.5]}}\n"


def test_the_results_say_what_was_done(bound: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(100_000))
    made = api.add(bound, "large", tmp_path / "large.bin").commit()
    pushed = api.push(bound, "large")
    assert isinstance(pushed, api.PushResult)
    assert ([row.uuid for row in pushed.sent], pushed.skipped, pushed.objects) == ([made.uuid], (), 1)
    assert pushed.bytes_sent == 100_000
    again = api.push(bound)
    assert ([row.uuid for row in again.skipped], again.sent, again.bytes_sent) == ([made.uuid], (), 0)
    api.context("other")
    api.remote("other", "team", url)
    fetched = api.fetch("other")
    assert isinstance(fetched, api.FetchResult)
    assert (fetched.new, fetched.gone, fetched.refused) == ((made.uuid,), (), ())
    pulled = api.pull("other", "large")
    assert isinstance(pulled, api.PullResult)
    assert [row.uuid for row in pulled.rows] == [made.uuid]
    assert isinstance(api.localize("other", "large"), api.Localized)
    assert Path(api.cat("other", "large")).read_bytes() == bytes(100_000)


def test_bytes_come_at_once_where_it_is_asked_for(
    bound: str, url: str, elsewhere: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(100_000))
    api.add(bound, "a", tmp_path / "a.bin").commit().push()
    received = elsewhere(
        f"{OTHER}name = api.clone({url!r}); print(api.pull(name, 'a').bytes_received, "
        "api.pull(name, 'a', localize=True).bytes_received, api.localize(name, 'a').bytes_received)"
    )
    assert received == "0 100000 0\n"


def test_what_others_say_of_a_bundle_comes_by_pulling_it(bound: str, url: str) -> None:
    ours = api.Bundle(bound, "n", 1).commit().push()
    api.clone(url, "theirs")
    api.tag("theirs", "n", {"checked": "yes"})
    api.push("theirs", "n")
    assert ours.pull().tags == {"checked": "yes", "committed": "True"}


def files_of_two(bound: str, tmp_path: Path, url: str) -> tuple[api.Bundle, list[str]]:
    """A bundle of two files that was pushed, with the paths its data names."""
    for name, byte in (("a.bin", 1), ("b c.bin", 2)):
        (tmp_path / name).write_bytes(bytes([byte]) * 100_000)
    made = api.add(bound, "files", [tmp_path / "a.bin", tmp_path / "b c.bin"]).commit().push()
    return made, list(made.data)


def test_what_is_dropped_here_comes_back_when_it_is_asked_for(bound: str, url: str, tmp_path: Path) -> None:
    made, (first, second) = files_of_two(bound, tmp_path, url)
    dropped = api.delocalize(bound, "files")
    assert isinstance(dropped, api.Delocalized)
    assert (dropped.objects, dropped.kept) == (2, 0)
    assert not Path(first).exists()
    assert made.localize(first) == first
    assert Path(first).read_bytes() == bytes([1]) * 100_000
    assert not Path(second).exists()
    assert list(made.cat()) == [first, second]
    assert Path(second).read_bytes() == bytes([2]) * 100_000


def test_one_file_is_dropped_and_fetched_by_its_path(bound: str, url: str, tmp_path: Path) -> None:
    made, (first, second) = files_of_two(bound, tmp_path, url)
    assert made.delocalize(second) == second
    assert (Path(first).exists(), Path(second).exists()) == (True, False)
    assert made.localize(Path(second)) == second
    assert Path(second).exists()
    assert made.localize() == made.local_dir
    with pytest.raises(InvalidInput, match="not a file of this bundle's"):
        made.delocalize(tmp_path / "a.bin")
    with pytest.raises(InvalidInput, match="not a URL of this bundle's"):
        made.localize("s3://other/place")
    with pytest.raises(PathNotFound):
        made.localize("no.bin")


def test_in_the_plain_layout_what_is_dropped_is_read_by_its_url(
    ctx: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISDAT_REMOTE_LAYOUT", "plain")
    api.remote(ctx, "team", url)
    made, (first, second) = files_of_two(ctx, tmp_path, url)
    there = made.delocalize(second)
    assert there == f"{made.remote_dir}/{Path(second).name.replace(' ', '%20')}"
    assert list(made.cat()) == [first, there]
    assert made.localize(there) == second
    assert made.delocalize() == made.remote_dir


def test_who_pushes_may_drop_the_bytes_at_once(bound: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(100_000))
    made = api.add(bound, "a", tmp_path / "a.bin").commit()
    assert len(api.push(bound, "a", delocalize=True).sent) == 1
    assert api.delocalize(bound, "a").objects == 0
    assert Path(made.cat()).read_bytes() == bytes(100_000)
    made.push(delocalize=True)
    assert api.delocalize(bound, uuid=made.uuid).objects == 0


def test_a_bundle_is_removed_for_everybody(bound: str, url: str) -> None:
    first, second = (api.Bundle(bound, name, 1).commit().push() for name in ("first", "second"))
    api.clone(url, "theirs")
    assert api.rmr(bound, ["first"]) == [first.uuid]
    assert second.rmr() is second
    assert api.search(bound) == []
    assert set(api.fetch("theirs").gone) == {first.uuid, second.uuid}
    draft = api.Bundle(bound, "draft", 1).commit()
    with pytest.raises(InvalidInput, match="never pushed"):
        draft.rmr()
    with pytest.raises(BadQuery):
        api.rmr(bound, [])
    with pytest.raises(InvalidInput, match="not pushed"):
        draft.delocalize()


def test_a_context_is_deleted_for_everybody(bound: str, url: str) -> None:
    first = api.Bundle(bound, "first", 1).commit().push()
    api.clone(url, "theirs")
    second = api.Bundle("theirs", "second", 1).commit().push()
    api.delete_context(bound, remote=True)
    assert set(api.fetch("theirs").gone) == {first.uuid, second.uuid}
    assert api.ls_contexts() == ["theirs"]


def test_of_several_remote_contexts_one_is_named(bound: str, url: str) -> None:
    api.Bundle(bound, "n", 1).commit().push()
    api.context("second")
    api.remote("second", "second_team", url)
    api.Bundle("second", "m", 2).commit().push()
    with pytest.raises(BadQuery, match="second_team, team"):
        api.clone(url)
    assert api.clone(url, "team") == "team"
    assert api.clone(url, "second_team/mine") == "mine"
    assert (api.cat("team", "n"), api.cat("mine", "m")) == (1, 2)


def test_files_of_its_own_have_a_place_on_the_remote(bound: str, url: str) -> None:
    made = api.Bundle(bound, "n", 1)
    assert made.remote_dir == f"{url}/context/team/files/{made.uuid}"


@pytest.mark.parametrize("act", [api.push, api.pull, api.fetch], ids=lambda act: act.__name__)
def test_a_context_without_a_remote_is_not_configured(ctx: str, act: Callable[[str], object]) -> None:
    made = api.Bundle(ctx, "n", 1).commit()
    with pytest.raises(NotConfigured, match="has no remote"):
        act(ctx)
    with pytest.raises(NotConfigured, match="has no remote"):
        made.push()
    assert made.remote_dir is None


def test_what_cannot_be_done_is_told(bound: str, url: str) -> None:
    draft = api.Bundle(bound, "draft", 1)
    with pytest.raises(InvalidInput, match="not committed"):
        draft.push()
    with pytest.raises(BundleNotFound):
        api.push(bound, "nothing")
    with pytest.raises(BundleNotFound, match="has no bundle 'nothing'"):
        api.pull(bound, "nothing")
    with pytest.raises(BadQuery):
        api.localize(bound)
    with pytest.raises(ContextNotFound):
        api.fetch("nowhere")
    with pytest.raises(InvalidInput, match="cannot open"):
        api.remote(bound, "team", "gopher://host/place")
    with pytest.raises(BundleNotFound, match="nothing was pushed"):
        api.clone(f"{url}/empty")


def test_a_clone_never_takes_the_place_of_a_context(bound: str, url: str) -> None:
    api.Bundle(bound, "n", 1).commit().push()
    with pytest.raises(AlreadyExists):
        api.clone(url, bound)
    assert api.ls_contexts() == [bound]


def test_a_remote_is_verified_and_repaired(bound: str, tmp_path: Path) -> None:
    api.Bundle(bound, "data", text("large" * 20_000)).commit().push()
    assert api.verify_remote(bound, sample=1.0).is_sound
    [lost] = [path for path in (tmp_path / "shared").rglob("*") if path.is_file() and path.stat().st_size >= 100_000]
    lost.unlink()
    report = api.verify_remote(bound)
    assert len(report.findings) == 1
    assert len(api.repair_remote(bound, report).sent) == 1
    assert api.verify_remote(bound).is_sound


def test_what_nobody_needs_there_is_collected(bound: str, tmp_path: Path) -> None:
    api.Bundle(bound, "data", text("large" * 20_000)).commit().push()
    api.rmr(bound, "data")
    now = timedelta()
    plan = api.gc_remote(bound, retention=now, grace=now)
    assert plan.garbage.count > 0
    done = api.gc_remote(bound, apply=True, retention=now, grace=now)
    assert done.condemned == plan.garbage.count


def test_unbinding_says_what_is_only_there(bound: str) -> None:
    made = api.Bundle(bound, "data", text("large" * 20_000)).commit().push(delocalize=True)
    assert api.unbind(bound) == [made.uuid]
    assert api.unbind(bound) == []
    assert api.status(bound).remote is None
    with pytest.raises(NotConfigured) as raised:
        api.localize(bound, "data")
    assert "dsdt remote team" in raised.value.hint


def test_a_directory_has_no_urls_to_share(bound: str) -> None:
    api.Bundle(bound, "data", 1).commit().push()
    with pytest.raises(InvalidInput, match="has no URLs that others can read"):
        api.share(bound, "data", expires=timedelta(hours=1))
