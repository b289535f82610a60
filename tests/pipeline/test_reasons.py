"""What differs between two keys, told by kind, name and file."""

from __future__ import annotations

import json

import pytest

from disdat.pipeline import identity, reasons
from disdat.pipeline.identity import Counted
from disdat.pipeline.reasons import Reason
from tests.pipeline.test_identity import counted, key


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (counted(f="function 1"), counted(f="function 2"), ["function f in helpers.py changed"]),
        (counted(N="constant 1"), counted(N="constant 2"), ["constant N in helpers.py changed"]),
        (counted(C="class 1"), counted(C="class 2"), ["class C in helpers.py changed"]),
        (counted(g="import 1"), counted(g="import 2"), ["import of g in helpers.py changed"]),
        (
            Counted({"h.py:": ("statements", "1")}),
            Counted({"h.py:": ("statements", "2")}),
            ["what importing h.py does changed"],
        ),
        (Counted({"d.csv:": ("file", "1")}), Counted({"d.csv:": ("file", "2")}), ["file d.csv changed"]),
        (counted({"pandas": "2.2"}), counted({"pandas": "3.0"}), ["package pandas 2.2 -> 3.0"]),
        (counted({"pandas": "2.2"}), counted({}), ["package pandas 2.2 is no longer used"]),
        (counted(), counted({"pandas": "2.2"}), ["package pandas 2.2 is used now"]),
        (
            counted(f="function 1", g="import 1", h="function 1"),
            counted(f="function 2", g="import 2", i="class 1"),
            [
                "function f in helpers.py changed",
                "import of g in helpers.py changed",
                "class i in helpers.py is used now",
                "1 more changes of code",
            ],
        ),
    ],
)
def test_what_changed_is_named_by_kind_name_and_file(old: Counted, new: Counted, told: list[str]):
    keys = [key(code=identity.code_component("closure", each)) for each in (old, new)]
    assert [str(each) for each in reasons.differences(*keys)] == told


def test_a_definition_that_changed_is_named_as_a_value_too():
    old, new = (key(code=identity.code_component("closure", counted(f=f"function {n}"))) for n in "12")
    [reason] = reasons.differences(old, new)
    text = "function f in helpers.py changed"
    assert reason == Reason("code", text, "helpers.py:f", "function " + "1" * 16, "function " + "2" * 16)


@pytest.mark.parametrize(
    "reason",
    [reasons.NO_EARLIER_RESULT, Reason("salt", "another salt", "", "", "1"), Reason("input", "x", "a", "o", "n")],
)
def test_a_reason_is_plain_json(reason: Reason):
    assert Reason.from_json(json.loads(json.dumps(reason.to_json()))) == reason
