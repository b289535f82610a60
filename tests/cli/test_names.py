"""Names and tags are data, whatever characters they are made of: none is a pattern, SQL, a path or an option."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from disdat import api
from disdat.cli.main import main
from disdat.core.reserved import is_reserved

pytestmark = pytest.mark.slow

LAW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

# fmt: off
TRICKY = st.sampled_from([
    "a", "A", "a*", "?", "[a]", "/a/", "%", "_", "' OR ''='", '"; DROP TABLE bundles; --', "a@1", "@", "-1", "--all",
    ".", "..", "../../etc", "a\nb", "\t", "\x00", "\u202e", "é", "e\u0301", "\U0001f600", "null", "a" * 10_000,
    " ", "a:b", "\\",
])
# fmt: on
TEXT = st.one_of(TRICKY, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)).filter(
    lambda name: not re.search(r"@-[0-9]+$", name)  # as `name@-1` is written, no new bundle is named
)
TAGS = st.dictionaries(TEXT.filter(lambda key: not is_reserved(key)), TEXT | st.just(""), max_size=3)


def dsdt(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


def listed(*words: str) -> list[dict[str, Any]]:
    """What a listing command says as JSON."""
    at = words.index("ls") + 1
    code, out, err = dsdt(*words[:at], "--json", *words[at:])
    assert (code, err) == (0, ""), err
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.fixture
def file(home: Path) -> str:
    Path("f").write_bytes(b"content")
    return "f"


@LAW
@given(made=st.lists(st.tuples(TEXT, TAGS), min_size=1, max_size=4), other=TEXT)
@example(made=[("a", {}), ("a*", {}), ("[a]", {}), ("%", {"%": "_"})], other="?")
def test_through_python_a_name_finds_that_very_name(
    home: Path, made: list[tuple[str, dict[str, str]]], other: str
) -> None:
    context = f"c{len(api.ls_contexts())}"
    api.context(context)
    for number, (name, tags) in enumerate(made):
        api.Bundle(context, name, number, tags=tags)
    for name in {name for name, _ in made} | {other}:
        expected = [number for number, (each, _) in enumerate(made) if each == name]
        latest = api.get(context, name)
        assert (latest.data if latest else None) == (expected[-1] if expected else None)
    everything = api.search(context)
    assert [(each.name, dict(each.tags), each.data) for each in everything] == [
        (name, tags, number) for number, (name, tags) in reversed(list(enumerate(made)))
    ]
    for _, tags in made:
        expected = [number for number, (_, each) in enumerate(made) if tags.items() <= each.items()]
        assert [each.data for each in api.search(context, tags=tags)] == expected[::-1]


@LAW
@given(made=st.lists(st.tuples(TEXT, TAGS), min_size=1, max_size=3))
@example(made=[("a", {}), ("a*", {}), ("/a/", {}), ("--all", {"-": "--"})])
def test_on_the_command_line_a_name_names_that_very_name(
    home: Path, file: str, made: list[tuple[str, dict[str, str]]]
) -> None:
    context = f"c{len(api.ls_contexts())}"
    here = ("--context", context)
    assert dsdt("context", context)[0] == 0
    spelled = [(name, {key: value for key, value in tags.items() if ":" not in key}) for name, tags in made]
    for name, tags in spelled:
        words = [f"--tag={key}:{value}" for key, value in tags.items()]
        assert dsdt("--quiet", *here, "add", *words, "--", name, file) == (0, "", "")
    assert [(each["name"], each["tags"]) for each in listed(*here, "ls")] == spelled[::-1]
    for name in {name for name, _ in spelled}:
        found = listed(*here, "ls", "--", name)
        assert [each["tags"] for each in found] == [tags for each, tags in reversed(spelled) if each == name]
    name = spelled[0][0]
    assert dsdt(*here, "rm", "--all", "--", name)[0] == 0
    assert [each["name"] for each in listed(*here, "ls")] == [each for each, _ in reversed(spelled) if each != name]
