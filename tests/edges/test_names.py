"""A name is any text, and a file's name any bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from disdat import api
from disdat.catalog.queries import Filter
from disdat.context import Context
from disdat.core.tree import decode_path
from disdat.ops import add, bundles, find
from tests.cli.conftest import Dsdt

NAMES = {
    "quotes": 'it\'s "quoted" `so`',
    "newlines": "two\nlines\r\nand\tmore",
    "slashes": "/a/../b//c\\d",
    "options": "--all",
    "patterns": "[a-c]*?%_",
    "controls": "\0\x1b[31mred\x7f",
    "direction": "left\u202eright",
    "beyond the plane": "😀" * 50,
    "composed otherwise": "cafe\u0301",
    "SQL": "'; DROP TABLE bundle; --",
    "spaces": "  ",
    "10,000 characters": "x" * 9_999 + "é",
    "10,000 wide characters": "\U0001f600" * 10_000,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_bundle_of_any_name_is_found_by_it(context: Context, name: str) -> None:
    made = api.Bundle(context, name=name, data=7, tags={name: name}, params={"p": name})
    other = api.Bundle(context, name=f"{name}!", data=8)
    [found] = api.search(context, human_name=name)
    assert (found.uuid, found.name, found.data) == (made.uuid, name, 7)
    assert found.tags[name] == name
    assert found.params == {"p": name}
    assert [each.uuid for each in api.search(context, tags={name: name})] == [made.uuid]
    assert api.get(context, f"{name}!") == other


@pytest.mark.parametrize("name", [name for name in NAMES.values() if "\0" not in name], ids=lambda name: name[:12])
def test_the_command_line_takes_any_name_and_prints_it_on_one_line(demo: Dsdt, name: str) -> None:
    Path("a.txt").write_text("text", "utf-8")
    made = json.loads(demo("add", "--json", "-t", f"k:{name}", "--", name, "a.txt").out)
    demo("tag", "--", name, "more:yes")
    [listed] = demo.json("ls", "--", name)
    assert (listed["uuid"], listed["name"], listed["tags"]) == (made["uuid"], name, {"k": name, "more": "yes"})
    assert len(demo("ls").lines) == 1
    assert len(demo("ls", "-vpa").lines) == 3
    assert demo("cat", "--", name).out.endswith("a.txt\n")
    assert made["uuid"] in demo("show", "--", name).out
    assert demo.json("lineage", "--", name)[0]["name"] == name
    assert demo("verify", "--", name).out.endswith("all is right.\n")
    demo("commit", "--", name)
    assert len(demo("rm", "--force", "--", name).lines) == 1
    assert demo.json("ls") == []


def test_a_long_name_is_no_file_name_anywhere(context: Context) -> None:
    """What a bundle is called is in no path of the home, so no limit of a file system binds it."""
    name = "/".join(["x" * 99] * 100)
    Path("a.txt").touch()
    made = add.add(context, name, ["a.txt"])
    assert Path(str(bundles.value(context, made.uuid))).is_file()
    assert all(len(os.path.basename(path)) < 100 for path, _, _ in os.walk(context.home.root))
    assert find.need(context, name).uuid == made.uuid


AWKWARD = [
    b"caf\xe9",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"new\nline",
    b"tab\tand\r",
    b"'quotes\"",
    b"-rf",
    b"%2F%00",
    b"back\\slash",
    b" ",
    b"~",
    b"x" * 255,
    "日本語".encode(),
]


def fill_awkward() -> bytes:
    directory = os.fsencode(Path("d").absolute())
    os.mkdir(directory)
    for name in AWKWARD:
        os.mkdir(directory + b"/" + name)
        Path(os.fsdecode(directory + b"/" + name + b"/" + name)).write_bytes(name)
    return directory


def test_files_and_directories_of_any_bytes_come_back_as_they_were(context: Context) -> None:
    fill_awkward()
    made = add.add(context, "n", ["d"])
    value = bundles.value(context, made.uuid)
    root = os.fsencode(context.bundle_directory(made.uuid))
    assert isinstance(value, list)
    assert {os.path.relpath(os.fsencode(path), root) for path in value} == {name + b"/" + name for name in AWKWARD}
    assert all(Path(path).read_bytes() == os.path.basename(os.fsencode(path)) for path in value)
    assert find.search(context, Filter())[0].file_count == len(AWKWARD)


@pytest.mark.parametrize("name", AWKWARD)
def test_one_file_of_any_name_is_added_and_read_from_the_command_line(demo: Dsdt, name: bytes) -> None:
    path = b"./" + name
    with open(path, "wb") as file:
        file.write(b"content")
    demo("add", "n", os.fsdecode(path))
    demo("add", "n", os.fsdecode(path))
    assert len(demo.json("ls", "-v")) == 2
    [row] = demo.json("show", "n")["tree"]
    assert (os.fsencode(decode_path(row["path"])), row["size_bytes"]) == (name, 7)
    assert all(line.isprintable() for line in demo("show", "n").lines)
    assert demo("verify").out.endswith("all is right.\n")
