"""Sharing from the command line: what is shown, and every way it can fail in a line that says how to go on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from disdat import Pickled, api
from disdat.context import Home
from disdat.core import canonical
from disdat.core.bundle import Bundle, Lineage
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt, everything_below
from tests.e2e.conftest import DSDT
from tests.servers.faults import Answer, HoldReply, Rule
from tests.servers.processes import free_port
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "remotes.md"
POLICIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)]
SENT = ("0 objects are", "1 object is", "2 objects are")
ACTIONS = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")

Add = Callable[..., str]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/shared"


@pytest.fixture
def bound(demo: Dsdt, url: str) -> Dsdt:
    """The command line in a context that is bound to the remote context ``team`` in a directory."""
    demo("remote", "team", url)
    return demo


@pytest.fixture
def elsewhere(bound: Dsdt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command in another home, that of a colleague; what it prints."""

    def run(*args: str) -> str:
        with monkeypatch.context() as patch:
            patch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
            return bound(*args).out

    return run


def kept(root: Path) -> dict[str, str]:
    """All that is kept below a home, but for the mirrors, which may be lost at any time."""
    found = everything_below(root)
    return {path: digest for path, digest in found.items() if not Path(path).name.startswith(("mirror.db", "push."))}


def test_binding_shows_what_the_place_can_do(demo: Dsdt, url: str) -> None:
    assert demo("remote", "team", url).lines == [
        f"Context demo is bound to team@{url}, layout packed",
        "Nothing was there before: it is new, and empty.",
        "conditional writes:  yes",
        "checksums:           no, so proof that bytes are there means to read them back",
        "signed URLs:         no, so there are no links to share",
    ]
    assert demo("remote").lines == [f"url:      {url}", "context:  team", "layout:   packed"]
    assert demo("context").lines == [f"*\tdemo\t[team@{url}]"]
    assert f"remote:       team@{url}" in demo("status").lines


def test_binding_says_what_is_there(bound: Dsdt, add: Add, url: str, tmp_path: Path) -> None:
    """So that who mistypes a URL, or the name of a context, sees it."""
    assert bound("remote", "team", url).lines[1] == "Nobody pushed to team yet."
    add("data")
    bound("commit", "data")
    bound("push")
    assert bound("remote", "team", url).lines[1] == "team is there already: `dsdt pull` tells what it has."
    shown = bound("remote", "taem", url).lines
    assert shown[2] == "Nobody pushed to taem yet. There are: team."
    assert bound.json("remote", "taem", url)["contexts"] == ["team"]
    assert bound.json("remote", "taem", url)["new"] is False
    assert bound.json("remote", "team", f"{url}2")["new"] is True
    assert bound.fails("remote", "team", f"file://{tmp_path}/mistyped/place") == (
        f"no such directory: {tmp_path}/mistyped"
    )
    assert not (tmp_path / "mistyped").exists()


def test_a_status_says_how_much_was_not_pushed(bound: Dsdt, add: Add) -> None:
    assert bound.json("status")["remote_name"] == "team"
    for name in ("one", "two"):
        add(name)
        bound("commit", name)
    assert bound.json("status")["unpublished"] == 2
    assert "not pushed:   2 bundles" in bound("status").lines
    bound("push", "one")
    assert bound.json("status")["unpublished"] == 1
    bound("push")
    assert bound.json("status")["unpublished"] == 0
    bound("tag", "one", "seen:yes")
    assert bound.json("status")["unpublished"] == 1


def test_what_is_only_on_a_remote_no_longer_bound_is_not_taken_for_damaged(bound: Dsdt, add: Add, url: str) -> None:
    add("kept", text="kept")
    uuid = add("data", text="given away")
    for line in ("commit data", "push -d data"):
        bound(*line.split())
    again = f"`dsdt remote team {url}` binds"
    assert bound("remote", "--unbind").lines == [
        f"Unbound from team@{url}",
        f"1 bundle has bytes only there, and cannot be read until {again} to it again",
    ]
    told = f"Bytes of 1 bundle are on a remote no longer bound: team@{url}; {again} to it again."
    assert bound("verify").lines[-1] == bound("verify", "data").lines[-1] == told
    assert bound.json("verify")["unbound"] == [{"url": url, "name": "team", "bundles": [uuid]}]
    for line in ("localize data", "push", "pull data"):
        assert bound.run(*line.split()).err.splitlines() == [
            "dsdt: the context demo has no remote",
            f"hint: {again} it again",
        ]
    assert bound.fails("cat", "data") == f"bytes of data are on a remote no longer bound: team@{url}"
    assert bound("cat", "kept").out
    assert bound("remote", "other", f"{url}2").lines[0].startswith("Context demo is bound to other")
    assert bound.fails("cat", "data") == f"bytes of data are on a remote no longer bound: team@{url}"
    assert bound("verify").lines[-1] == told
    bound("remote", "team", url)
    assert bound.json("remote", "--unbind")["bundles"] == [uuid]


def test_once_it_is_bound_again_all_is_there(bound: Dsdt, add: Add, url: str) -> None:
    add("data", text="given away")
    for line in ("commit data", "push -d data", "remote --unbind", f"remote team {url}"):
        bound(*line.split())
    assert not bound.json("verify")["unbound"]
    bound("localize", "data")
    bound("remote", "--unbind")
    assert not bound.json("verify")["unbound"]
    assert "Unbound" not in bound("remote", "team", url).out


def test_binding_elsewhere_says_what_is_left_behind(bound: Dsdt, add: Add, url: str) -> None:
    add("data")
    for line in ("commit data", "push -d data"):
        bound(*line.split())
    assert bound("remote", "team", f"{url}2").lines[1].startswith("1 bundle has bytes only there")


def test_binding_anew_says_what_was_before(bound: Dsdt, url: str) -> None:
    shown = bound("remote", "team", f"{url}2").lines
    assert shown[0] == f"It was bound to team@{url} before; what came from there stays."
    assert bound("remote", "--unbind").out == f"Unbound from team@{url}2\n"
    assert bound("remote", "--unbind").out == "demo has no remote\n"
    assert bound("context").lines == ["*\tdemo\t[no remote]"]


def test_the_layout_is_that_of_the_settings_unless_one_is_chosen(
    demo: Dsdt, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISDAT_REMOTE_LAYOUT", "plain")
    assert demo.json("remote", "team", url)["layout"] == "plain"
    assert demo.json("remote", "team", url, "--layout", "packed")["layout"] == "packed"


def test_a_push_says_what_it_sent(bound: Dsdt, add: Add, url: str) -> None:
    assert bound("push").out == "Nothing to push: no bundle is committed.\n"
    uuid = add("data")
    assert bound("push").out == "Nothing to push: no bundle is committed.\n"
    bound("commit", "data")
    would = bound("push", "--dry-run").lines
    assert would[0].startswith(f"Would push data {uuid} of ")
    assert re.fullmatch(r"1 bundle, \d+ B", would[1])
    done = bound("push").lines
    assert done[0].startswith(f"Pushed data {uuid} of ")
    assert re.fullmatch(rf"1 bundle, \d+ B to team@{re.escape(url)} in \d+\.\d s", done[1])
    assert bound("push").out == "Nothing to push: the remote has it all.\n"


@pytest.fixture
def chain(bound: Dsdt, home: Path) -> list[str]:
    """Three bundles, each made from the one before, of which the last is committed."""
    made: list[Bundle] = []
    for name in ("first", "second", "third"):
        inputs = tuple(bundles.dependency("read", each) for each in made[-1:])
        made.append(bundles.write(Home(home).context("demo"), name, Birth(name=name, lineage=Lineage(inputs=inputs))))
    bound("commit", "third")
    return [each.uuid for each in made]


def test_a_push_says_what_its_bundles_were_made_from_and_others_lack(bound: Dsdt, chain: list[str]) -> None:
    [told] = bound("push", "third").lines[2:]
    assert told == "2 bundles this was made from stay here (second, first): `dsdt push --inputs third` sends them too"
    bound("tag", "third", "again:yes")
    assert bound.json("push")["inputs_left"] == [chain[1], chain[0]]


def test_what_bundles_were_made_from_is_pushed_with_them_where_that_is_asked_for(
    bound: Dsdt, chain: list[str], url: str, elsewhere: Callable[..., str]
) -> None:
    would = bound("push", "--inputs", "--dry-run").lines
    assert sorted(line.split()[2] for line in would[:-1]) == ["first", "second", "third"]
    assert [each["name"] for each in bound.json("ls") if each["committed"]] == ["third"]
    done = bound.json("push", "--inputs", "third")
    assert [each["uuid"] for each in done["sent"]] == chain
    assert done["inputs_left"] == []
    assert len(elsewhere("clone", url)) > 0
    assert sorted(elsewhere("--context", "team", "ls").split()) == ["first", "second", "third"]
    assert bound("push", "--inputs").out == "Nothing to push: the remote has it all.\n"


def test_a_pull_says_when_the_bytes_come(bound: Dsdt, url: str, elsewhere: Callable[..., str]) -> None:
    Path("large.bin").write_bytes(bytes(100_000))
    bound("add", "data", "large.bin")
    bound("commit", "data")
    bound("push")
    for line in ("context mine", "switch mine", f"remote team {url}"):
        elsewhere(*line.split())
    told = "What is known of it is here; bytes come when they are read, or now with `dsdt pull -l data`"
    assert elsewhere("pull", "data").splitlines()[1:] == [told]
    assert elsewhere("pull", "data", "-l").splitlines()[1].startswith("Fetched 100.0 kB of 1 bundle in ")
    assert len(elsewhere("pull", "data").splitlines()) == 1


def test_a_pickle_of_another_home_is_read_where_its_remote_is_trusted(
    bound: Dsdt, url: str, elsewhere: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.Bundle("demo", "model", Pickled(Fraction(1, 3))).commit().push()
    for line in ("context mine", "switch mine", f"remote team {url}", "pull"):
        elsewhere(*line.split())
    monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
    for others in (None, f"{url}-of-others"):
        if others is not None:
            monkeypatch.setenv("DISDAT_REMOTE_TRUSTED", others)
        refused = bound.run("cat", "model")
        assert refused.code == 1
        assert "can run any code, and its writer is not trusted" in refused.err
        assert "DISDAT_REMOTE_TRUSTED" in refused.err
    monkeypatch.setenv("DISDAT_REMOTE_TRUSTED", url)
    assert bound("cat", "model").out == "1/3\n"


def test_a_pickle_that_claims_to_be_of_this_home_is_not_taken_for_its_own(
    bound: Dsdt, url: str, elsewhere: Callable[..., str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in ("context mine", "switch mine", f"remote team {url}"):
        elsewhere(*line.split())
    own = json.loads((home / "format").read_bytes())["home"]
    with (tmp_path / "colleague" / "format").open("r+b") as file:  # in place: a copied home gets an id of its own
        fields = json.loads(file.read()) | {"home": own}
        file.seek(0)
        file.write(canonical.encode(fields) + b"\n")
    with monkeypatch.context() as patch:
        patch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
        api.Bundle("mine", "model", Pickled(Fraction(1, 3))).commit().push()
    bound("pull", "model", "-l")
    bound("copy", "model", "--to", "other", "--create")
    for name in ("demo", "other"):
        refused = bound.run("--context", name, "cat", "model")
        assert refused.code == 1
        assert "its writer is not trusted" in refused.err
    bound("fork", "trial")
    assert bound.run("--context", "trial", "cat", "model").code == 1
    monkeypatch.setenv("DISDAT_REMOTE_TRUSTED", url)
    assert bound("cat", "model").out == "1/3\n"


def test_a_pull_without_new_bundles_says_whether_anything_came(
    bound: Dsdt, add: Add, url: str, elsewhere: Callable[..., str]
) -> None:
    add("data")
    bound("commit", "data")
    bound("push")
    elsewhere("clone", url, "mine")
    assert elsewhere("--context", "mine", "pull") == "Nothing new.\n"
    bound("tag", "data", "seen:yes")
    bound("push")
    assert elsewhere("--context", "mine", "pull") == "Changes to what is here.\n"
    bound("rmr", "data", "--yes")
    assert elsewhere("--context", "mine", "pull") == "1 gone.\n"


def test_a_dry_run_of_a_pull_takes_over_nothing(
    bound: Dsdt, add: Add, url: str, tmp_path: Path, elsewhere: Callable[..., str]
) -> None:
    Path("large.bin").write_bytes(bytes(100_000))
    uuid = bound.json("add", "data", "large.bin")["uuid"]
    bound("commit", "data")
    for line in ("context mine", "switch mine", f"remote team {url}"):
        elsewhere(*line.split())
    assert elsewhere("pull", "--dry-run") == "Nothing new.\n"
    bound("push")
    before = kept(tmp_path / "colleague")
    for line in ("pull --dry-run", "pull data --dry-run", f"pull -u {uuid} --dry-run"):
        assert elsewhere(*line.split()).startswith(f"Would pull data {uuid} of ")
    assert elsewhere("pull", "-l", "--dry-run").splitlines()[1] == "Would fetch 100.0 kB of 1 bundle"
    planned = json.loads(elsewhere("pull", "-l", "--dry-run", "--json"))
    assert [each["size_bytes"] for each in planned["would_pull"]] == [100_000]
    assert kept(tmp_path / "colleague") == before
    assert elsewhere("pull").startswith(f"Pulled data {uuid} of ")
    assert elsewhere("pull", "--dry-run") == "Nothing new.\n"
    assert json.loads(elsewhere("pull", "-l", "--dry-run", "--json"))["bytes_wanted"] == 100_000
    assert elsewhere("pull", "-l").splitlines()[-1].startswith("Fetched 100.0 kB of 1 bundle in ")
    assert json.loads(elsewhere("pull", "-l", "--dry-run", "--json"))["bytes_wanted"] == 0


def test_a_dry_run_tells_of_what_was_removed_here(bound: Dsdt, add: Add) -> None:
    uuid = add("data")
    for line in ("commit data", "push", "rm --force data"):
        bound(*line.split())
    assert bound("pull", "--dry-run").out == "Nothing new.\n"
    assert bound("pull", "data", "--dry-run").out.startswith(f"Would pull data {uuid}")
    assert bound("ls").out == ""
    assert bound("pull", "data").out.startswith(f"Pulled data {uuid}")
    assert bound("ls").lines == ["data"]


def test_a_name_is_pulled_in_its_newest_version_or_in_all(
    bound: Dsdt, add: Add, url: str, elsewhere: Callable[..., str]
) -> None:
    uuids = [add("data", text=text) for text in ("old", "new")]
    bound("commit", "-u", uuids[0])
    bound("commit", "-u", uuids[1])
    bound("push")
    elsewhere("clone", url)
    newest = json.loads(elsewhere("--context", "team", "pull", "data", "--json"))
    every = json.loads(elsewhere("--context", "team", "pull", "data", "--all", "--json"))
    assert [each["uuid"] for each in newest["bundles"]] == [uuids[1]]
    assert {each["uuid"] for each in every["bundles"]} == set(uuids)


def test_a_name_is_that_of_what_is_on_the_remote(bound: Dsdt, add: Add) -> None:
    """Also where a version was made here since."""
    uuid = add("data", text="pushed")
    for line in ("commit data", "push"):
        bound(*line.split())
    add("data", text="not pushed")
    for line in ("pull data", "pull data --all", "pull data --dry-run"):
        ended = bound(*line.split(), "--json")
        found = json.loads(ended.out)
        assert [each["uuid"] for each in found.get("bundles", found.get("would_pull"))] == [uuid]


def test_of_several_remote_contexts_clone_takes_the_one_that_is_named(bound: Dsdt, add: Add, url: str) -> None:
    add("data")
    bound("commit", "data")
    bound("push")
    bound("remote", "other", url)
    bound("push")
    told = bound.fails("clone", url, code=2)
    assert told == f"{url} has several contexts: other, team"
    assert bound("clone", url, "team").lines == [
        f"Cloned team@{url} into the context team: 1 bundle",
        "`dsdt switch team` makes it the current one",
    ]
    assert bound("clone", url, "other/mine").lines[0] == f"Cloned other@{url} into the context mine: 1 bundle"


@pytest.mark.parametrize(
    ("line", "doing", "unit"),
    [
        ("push", "pushing", "bytes"),
        ("--context copy pull -l", "pulling", "bytes"),
        ("--context copy localize large", "fetching", "bytes"),
        ("--context copy fetch", "fetching", "publications"),
        ("clone URL another", "cloning", "publications"),
    ],
)
def test_a_program_is_told_how_far_it_is(
    bound: Dsdt, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, doing: str, unit: str
) -> None:
    """In the shape that the reference says, and nothing where it did not ask."""
    Path("large.bin").write_bytes(os.urandom(100_000))
    for before in ("add large large.bin", "commit large"):
        bound(*before.split())
    if line != "push":
        bound("push")
        monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
        bound("clone", url, "copy")
        if "fetch" in line:
            monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "home"))
            publish_more(bound)
            monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
    words = line.replace("URL", url).split()
    ended = bound.run(*words, "--progress", "json", "--json")
    told = [json.loads(each) for each in ended.err.splitlines()]
    assert json.loads(ended.out)
    assert {(each["doing"], each["unit"]) for each in told} == {(doing, unit)}
    assert told[-1]["done"] == told[-1]["total"] > 0
    [shape] = re.findall(
        r"`(\{[^`]*\})`, a line each second", (GUIDE.parents[1] / "reference/cli.md").read_text("utf-8")
    )
    assert list(told[0]) == re.findall(r'"(\w+)"', shape)


def publish_more(dsdt: Dsdt) -> None:
    Path("more.txt").write_text("more")
    for line in ("add more more.txt", "commit more", "push more"):
        dsdt(*line.split())


def test_the_clone_of_what_was_emptied_has_no_bundles(bound: Dsdt, add: Add, url: str) -> None:
    add("data")
    for line in ("commit data", "push", "rmr data --yes"):
        bound(*line.split())
    assert bound("clone", url, "copy").lines[0] == f"Cloned team@{url} into the context copy: no bundles"


def test_what_could_not_be_used_is_said_and_left(bound: Dsdt, tmp_path: Path) -> None:
    events = tmp_path / "shared" / "context" / "team" / "events"
    events.mkdir(parents=True)
    name = "01M81M2HHB2M1552Z8ZPM7XSGS-01M81M2HHB2M1552Z8ZPM7XSGS.json"
    (events / name).write_bytes(b"not a publication")
    ended = bound.run("fetch")
    assert ended.code == 0
    assert f"left out context/team/events/{name}" in ended.err
    assert (events / name).exists()


USAGE = [
    ("remote team", "it takes both a remote context and a URL"),
    ("remote URL", "it takes both a remote context and a URL"),
    ("remote team URL more", "unexpected extra argument"),
    ("remote team URL --layout loose", "'loose' is not one of"),
    ("remote --layout plain", "--layout is for binding"),
    ("remote --unbind --layout plain", "--layout is for binding"),
    ("remote --unbind team", "--unbind takes no name"),
    ("remote --unbind team URL", "--unbind takes no name"),
    ("remote .. URL", "'..' cannot name a context"),
    ("remote URL team", "cannot name a context"),
    ("remote||URL", "REMOTE_CONTEXT is empty"),
    ("remote|team|", "URL is empty"),
    ("push --jobs 0", "0 is less than 1"),
    ("push --jobs many", "'many' is no whole number"),
    ("push -t nocolon", "'nocolon' is not a tag"),
    ("push data more", "unexpected extra argument"),
    ("pull --jobs -1", "-1 is less than 1"),
    ("pull|-u|", "--uuid is empty"),
    ("fetch data", "unexpected extra argument"),
    ("clone", "missing argument 'URL'"),
    ("clone URL a/b/c", "cannot name a context"),
    ("clone URL ..", "'..' cannot name a context"),
    ("clone URL a/", "cannot name a context"),
]
"""Words that make no command, in a context that is bound to URL."""

FAILURES = [
    ("remote team gopher://host/place", "cannot open 'gopher://host/place'"),
    ("remote team /a/directory", "cannot open '/a/directory'"),
    ("remote team file://relative/path", "cannot open 'file://relative/path'"),
    ("remote team s3://", "cannot open 's3://'"),
    ("remote team s3:///prefix", "cannot open 's3:///prefix'"),
    ("remote team s3://bucket/../other", "not a key"),
    ("remote team file://HERE/theirs", "is not empty and was not made by disdat"),
    ("remote team file://HERE/notes.txt", "notes.txt"),
    ("remote team file://HERE/damaged", "is damaged, or is another program's"),
    ("remote team file://HERE/newer", "has format 2"),
    ("push none", "no bundle named 'none'"),
    ("push draft", "draft is not committed"),
    ("push -u 00000000-0000-0000-0000-000000000000", "no bundle with uuid"),
    ("push data -t no:such", "no bundle named 'data' tagged no:such"),
    ("pull none", "has no bundle 'none'"),
    ("pull draft", "has no bundle 'draft'"),
    ("pull draft --all", "has no bundle 'draft'"),
    ("pull draft --dry-run", "has no bundle 'draft'"),
    ("pull dat", "has no bundle 'dat'"),
    ("pull dat --dry-run", "has no bundle 'dat'"),
    ("pull -u 00000000-0000-0000-0000-000000000000", "has no bundle '00000000-0000"),
    ("pull -t no:such", "has no bundle with these tags"),
    ("clone file://HERE/nothing", "nothing was pushed to"),
    ("clone URL demo", "the context 'demo' already exists"),
]


@pytest.fixture
def furnished(bound: Dsdt, add: Add) -> Dsdt:
    """The same with a bundle that was pushed and a draft, beside places of every awkward kind."""
    add("data")
    for line in ("commit data", "push"):
        bound(*line.split())
    add("draft")
    Path("theirs").mkdir()
    Path("theirs/notes.txt").write_text("mine", "utf-8")
    Path("notes.txt").write_text("mine", "utf-8")
    for name, marker in (("damaged", b"\xff"), ("newer", b'{"format":2,"id":"x","readers":[],"writers":[]}\n')):
        Path(name).mkdir()
        Path(name, "disdat.json").write_bytes(marker)
    return bound


def words(line: str, url: str) -> list[str]:
    """The arguments of a line that ``|``, where there is one, or blanks divide."""
    there = line.replace("HERE", str(Path.cwd())).replace("URL", url)
    return there.split("|") if "|" in there else there.split()


@pytest.mark.parametrize(("line", "told"), USAGE)
def test_what_is_no_command_is_told(furnished: Dsdt, home: Path, url: str, line: str, told: str) -> None:
    before = kept(home)
    assert told in furnished.fails(*words(line, url), code=2)
    assert kept(home) == before


@pytest.mark.parametrize(("line", "told"), FAILURES)
def test_what_cannot_be_done_is_told_and_nothing_changes(
    furnished: Dsdt, home: Path, tmp_path: Path, url: str, line: str, told: str
) -> None:
    before = kept(home), everything_below(Path.cwd()), everything_below(tmp_path / "shared")
    assert told in furnished.fails(*words(line, url))
    assert (kept(home), everything_below(Path.cwd()), everything_below(tmp_path / "shared")) == before


@pytest.mark.parametrize("line", ["push", "push --dry-run", "pull", "pull --dry-run", "fetch", "remote"])
def test_a_context_without_a_remote_says_how_to_get_one(demo: Dsdt, line: str) -> None:
    ended = demo.run(*line.split())
    assert ended.code == 1
    first, hint = ended.err.splitlines()
    assert first == "dsdt: the context demo has no remote"
    assert hint.startswith("hint: `dsdt remote demo URL` binds it; a URL is like file:///shared/directory, s3:")


def test_a_name_that_is_not_there_says_what_is(furnished: Dsdt) -> None:
    assert furnished.run("pull", "dat").err.splitlines()[1] == "hint: did you mean 'data'?"
    assert furnished.run("pull", "zzz").err.splitlines()[1] == "hint: it has data"


def test_a_remote_that_was_moved_away_is_told(furnished: Dsdt, home: Path, tmp_path: Path, url: str) -> None:
    shutil.move(tmp_path / "shared", tmp_path / "away")
    before = kept(home)
    for line in ("fetch", "pull", "push"):
        assert furnished.fails(line) == f"{url} is empty, and is not the store this context was bound to"
    assert kept(home) == before


# Over S3


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Server], None]:
    """Lead this process to a server."""

    def use(server: S3Server) -> None:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

    return use


@pytest.fixture
def in_bucket(demo: Dsdt, add: Add, ministack: S3Server, proxy: Proxy, use: Callable[[S3Server], None]) -> Dsdt:
    """A context with a committed bundle that is bound to a bucket, which is reached through a proxy."""
    use(ministack.at(proxy.endpoint))
    demo("remote", "team", f"s3://{ministack.fresh_bucket()}/team")
    add("data")
    demo("commit", "data")
    return demo


@pytest.mark.slow
def test_a_bucket_can_do_it_all(in_bucket: Dsdt, ministack: S3Server) -> None:
    assert in_bucket("remote", "team", f"s3://{ministack.fresh_bucket()}").lines[-3:] == [
        "conditional writes:  yes",
        "checksums:           yes",
        "signed URLs:         yes",
    ]


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told(in_bucket: Dsdt, home: Path) -> None:
    before = kept(home)
    for line in ("remote team s3://no-such-bucket/team", "clone s3://no-such-bucket/team"):
        assert in_bucket.fails(*line.split()) == "there is no bucket 'no-such-bucket'"
    assert kept(home) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (Answer(400, "ExpiredToken"), "the credentials have expired", "aws sso login"),
        (Answer(403, "InvalidAccessKeyId"), "the credentials are not known there", "AWS_PROFILE"),
        (Answer(403, "RequestTimeTooSkewed"), "this machine's clock is wrong", "set it"),
        (Answer(403, "AccessDenied"), "may not ", "need the permission s3:"),
        (Answer(301, "PermanentRedirect"), "the bucket is in another region", "AWS_REGION"),
        (Answer(400, "AuthorizationHeaderMalformed"), "the bucket is in another region", "AWS_REGION"),
        (Answer(503, "SlowDown"), "the server answers 503 SlowDown", "later"),
    ],
    ids=lambda value: value.code if isinstance(value, Answer) else "",
)
def test_what_the_server_refuses_is_told_in_a_line(
    in_bucket: Dsdt,
    home: Path,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    told: str,
    hint: str,
) -> None:
    monkeypatch.setenv("DISDAT_REMOTE_TIMEOUT", "1")
    before = kept(home)
    proxy.add(Rule(answer))
    for line in ("push", "pull", "fetch", "pull --dry-run"):
        ended = in_bucket.run(*line.split())
        assert (ended.code, ended.out) == (1, "")
        first, second = ended.err.splitlines()
        assert told in first
        assert hint in second
    assert kept(home) == before


@pytest.mark.slow
def test_where_nobody_listens_it_says_how_long_it_tried(
    in_bucket: Dsdt, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(home)
    monkeypatch.setenv("DISDAT_REMOTE_TIMEOUT", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for line in ("push", "fetch", "remote team s3://bucket/team", "clone s3://bucket/team"):
        ended = in_bucket.run(*line.split())
        assert (ended.code, ended.out) == (1, "")
        first, hint = ended.err.splitlines()
        assert re.search(r"Connection refused.* \(tried (for \d+ s|once or twice)\)$", first)
        assert hint == "hint: check the network, and AWS_ENDPOINT_URL if it is set"
    assert kept(home) == before


@pytest.mark.slow
def test_without_credentials_it_says_where_they_come_from(in_bucket: Dsdt, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert in_bucket.run("push").err == (
        "dsdt: there are no AWS credentials\nhint: run `aws configure`, or set AWS_PROFILE\n"
    )
    assert "none-such" in in_bucket.fails("--profile", "none-such", "push")


@pytest.mark.slow
def test_who_interrupts_a_push_is_told_what_it_was_good_for(in_bucket: Dsdt, proxy: Proxy, ministack: S3Server) -> None:
    Path("large.bin").write_bytes(os.urandom(200_000))
    in_bucket("add", "large", "large.bin")
    in_bucket("commit", "large")
    proxy.add(Rule(HoldReply(), method="PUT", path="/objects/"))
    running = subprocess.Popen([DSDT, "push"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with running:
        proxy.until_held(timeout_s=120)
        running.send_signal(signal.SIGINT)
        proxy.release()
        out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, "")
    assert err in {f"dsdt: interrupted: {sent} on the remote; `dsdt push` goes on\n" for sent in SENT}
    proxy.reset()
    assert len(in_bucket.json("push")["sent"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "path", "goes_on"),
    [
        ("push", "PUT /objects/", "1 object is on the remote; `dsdt push` goes on"),
        ("push", "PUT /leases/", "0 objects are on the remote; `dsdt push` goes on"),
        ("--context other pull -l", "GET /objects/", "0 B of 200.0 kB arrived, of which whole objects are kept; "),
        ("--context other fetch", "GET list-type", "what was taken over is kept; `dsdt fetch` goes on"),
    ],
    ids=["sending", "waiting", "receiving", "fetching"],
)
def test_an_interrupt_ends_it_soon_though_a_server_never_answers(
    in_bucket: Dsdt,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    path: str,
    goes_on: str,
) -> None:
    url = in_bucket.json("remote")["url"]
    Path("large.bin").write_bytes(os.urandom(200_000))
    in_bucket("add", "large", "large.bin")
    in_bucket("commit", "large")
    if line != "push":
        in_bucket("push")
        monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "colleague"))
        in_bucket("clone", url, "other")
    method, there = path.split()
    proxy.add(Rule(HoldReply(), method=method, path=there))
    with subprocess.Popen([DSDT, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        proxy.until_held()
        if line == "push" and "objects" in path:
            time.sleep(0.5)  # the pack has arrived, or is held too
        started_s = time.monotonic()
        running.send_signal(signal.SIGINT)
        try:
            out, err = running.communicate(timeout=20)
        finally:
            running.kill()
        took_s = time.monotonic() - started_s
    proxy.reset()
    assert (running.returncode, out) == (130, "")
    assert err.startswith("dsdt: interrupted: ")
    assert goes_on.partition(" ")[2] in err
    assert err.count("\n") == 1
    assert took_s < 10  # 2 s, and what a machine with much to do takes
    in_bucket(*line.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "held", "good_for"),
    [
        pytest.param(
            "share large", "PUT /shares/", "what was copied goes when its time is over", marks=pytest.mark.soak
        ),
        ("delocalize large", "HEAD /objects/", "what was dropped the remote has; `dsdt delocalize` goes on"),
        pytest.param("verify --remote", "GET list-type", "nothing was changed", marks=pytest.mark.soak),
        ("gc --remote", "GET list-type", "nothing was changed"),
        pytest.param(
            "gc --remote --apply", "GET list-type", "`dsdt gc --remote --apply` goes on", marks=pytest.mark.soak
        ),
    ],
)
def test_an_interrupt_ends_the_care_of_a_remote_soon(
    in_bucket: Dsdt, proxy: Proxy, line: str, held: str, good_for: str
) -> None:
    Path("large.bin").write_bytes(os.urandom(200_000))
    in_bucket("add", "large", "large.bin")
    in_bucket("commit", "large")
    in_bucket("push")
    method, there = held.split()
    proxy.add(Rule(HoldReply(), method=method, path=there))
    with subprocess.Popen([DSDT, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        proxy.until_held()
        started_s = time.monotonic()
        running.send_signal(signal.SIGINT)
        try:
            ended = running.communicate(timeout=20)
        finally:
            running.kill()
        took_s = time.monotonic() - started_s
    proxy.reset()
    assert (running.returncode, ended) == (130, ("", f"dsdt: interrupted: {good_for}\n"))
    assert took_s < 10  # 2 s, and what a machine with much to do takes
    in_bucket(*line.split())


@pytest.mark.slow
def test_requests_follow_what_changed_and_not_how_much_there_is(in_bucket: Dsdt, add: Add, proxy: Proxy) -> None:
    url = in_bucket.json("remote")["url"]
    in_bucket("push")
    in_bucket("clone", url, "other")
    for _ in range(3):
        add("more")
        in_bucket("commit", "more")
        in_bucket("push", "more")

    def requests(*args: str) -> int:
        proxy.reset()
        in_bucket(*args)
        return proxy.count()

    assert requests("--context", "other", "fetch") == 3 + 3
    for line in ("push", "fetch", "pull"):
        assert requests(line) == 3
    assert requests("pull", "--dry-run") == 3
    add("more")
    in_bucket("commit", "more")
    assert requests("push", "more") <= 10


# Who may do what: the policies of the guide


def granted(policy: Mapping[str, object], bucket: str) -> dict[str, object]:
    """A policy of the guide for this bucket."""
    filled: dict[str, object] = json.loads(json.dumps(policy).replace("BUCKET", bucket).replace("PREFIX", "team"))
    return filled


def without(policy: Mapping[str, object], action: str) -> dict[str, object]:
    """A policy less one action."""
    left: list[dict[str, object]] = []
    for each in json.loads(json.dumps(policy["Statement"])):
        actions = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
        if remaining := [every for every in actions if every != action]:
            left.append({**each, "Action": remaining})
    return {**policy, "Statement": left}


def actions_of(policy: Mapping[str, object]) -> set[str]:
    """All that a policy allows."""
    return {action for action in ACTIONS if f'"{action}"' in json.dumps(policy)}


class People:
    """Users of one bucket, each with a home and a policy of their own."""

    def __init__(
        self, dsdt: Dsdt, root: S3Server, use: Callable[[S3Server], None], patch: pytest.MonkeyPatch, place: Path
    ) -> None:
        self.dsdt, self._root, self._use, self._patch, self._place = dsdt, root, use, patch, place
        self.bucket = root.fresh_bucket()
        self.url = f"s3://{self.bucket}/team"

    def become(self, name: str, policy: Mapping[str, object]) -> S3Server:
        """Go on as this user, in an empty home."""
        user = self._root.user(f"{name}-of-{self.bucket}", granted(policy, self.bucket))
        self._use(user)
        self._patch.setenv("DISDAT_HOME", str(self._place / name))
        return user

    def publish(self) -> None:
        """Bind a context, and push a bundle that takes several requests."""
        for line in ("context demo", "switch demo", f"remote team {self.url}"):
            self.dsdt(*line.split())
        Path("small.txt").write_text("small", "utf-8")
        Path("large.bin").write_bytes(os.urandom(20_000_000))
        for line in ("add data small.txt large.bin", "commit data", "push"):
            self.dsdt(*line.split())


@pytest.fixture
def people(
    dsdt: Dsdt,
    ministack_iam: S3Server,
    use: Callable[[S3Server], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> People:
    return People(dsdt, ministack_iam, use, monkeypatch, tmp_path)


def test_the_guide_has_a_policy_for_who_pushes_and_one_for_who_pulls() -> None:
    assert [actions_of(policy) for policy in POLICIES] == [set(ACTIONS), set(ACTIONS[:2])]


@pytest.mark.slow
def test_with_the_policies_of_the_guide_all_of_it_works(people: People) -> None:
    """And who may only read is told so, and pulls all the same."""
    dsdt, (full, reading) = people.dsdt, POLICIES
    people.become("ann", full)
    people.publish()
    for line in ("fetch", "pull", f"clone {people.url} again", "--context again pull -l data"):
        dsdt(*line.split())
    told = dsdt.fails("remote", "team", f"s3://{people.bucket}/another")
    assert told == f"may not read 'disdat.json' in s3://{people.bucket}/another"
    people.become("bob", reading)
    dsdt("clone", people.url)
    dsdt("switch", "team")
    assert "Fetched 20.0 MB" in dsdt("pull", "-l", "data").out
    dsdt("fetch")
    assert dsdt("remote", "team", people.url).lines == [
        f"Context team is bound to team@{people.url}, layout packed",
        "team is there already: `dsdt pull` tells what it has.",
        "You may not write there: fetch, pull and clone work, push does not.",
    ]
    for line in ("add mine small.txt", "commit mine"):
        dsdt(*line.split())
    ended = dsdt.run("push")
    assert ended.code == 1
    assert re.match(r"dsdt: may not write 'leases/\S+' in s3://", ended.err)
    assert ended.err.endswith("hint: the credentials need the permission s3:PutObject\n")


@pytest.mark.slow
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_missing_is_named(people: People, action: str) -> None:
    dsdt = people.dsdt
    people.become("ann", POLICIES[0])
    people.publish()
    people.become("eve", without(POLICIES[0], action))
    failed = []
    for line in (
        "context demo",
        "switch demo",
        f"remote team {people.url}",
        "add mine small.txt",
        "commit mine",
        "push",
        f"clone {people.url}",
    ):
        ended = dsdt.run(*line.split())
        if ended.code:
            failed.append(ended.err.splitlines())
    assert failed
    first, hint = failed[0]
    assert re.match(rf"dsdt: may not \w+ ('\S+' in )?{people.url}$", first)
    assert hint == f"hint: the credentials need the permission {action}"


@pytest.mark.slow
def test_wrong_credentials_are_told(people: People, use: Callable[[S3Server], None]) -> None:
    user = people.become("ann", POLICIES[0])
    people.publish()
    use(replace(user, secret_key="guessed"))
    assert "the credentials are not known there (SignatureDoesNotMatch)" in people.dsdt.fails("push")
