"""Processing names are Disdat's, digit for digit."""

from __future__ import annotations

import pytest
from luigi.task import task_id_str

from disdat.core import naming


def test_a_task_without_inputs_ends_in_the_md5_of_nothing() -> None:
    task = naming.task_id("GenData", {"n": "3"})
    assert task == "GenData_3_ab99dd1074"
    assert naming.task_processing_name(task, {}) == "GenData_3_ab99dd1074_d41d8cd98f"


def test_a_task_with_an_input_ends_in_the_md5_of_the_inputs_name() -> None:
    task = naming.task_id("Average", {"n": "3", "label": "lab"})
    assert task == "Average_lab_3_443dee502f"
    upstream = {"data": "GenData_3_ab99dd1074_d41d8cd98f"}
    assert naming.task_processing_name(task, upstream) == "Average_lab_3_443dee502f_6e1e39526a"


def test_a_task_without_parameters_has_a_double_underscore() -> None:
    assert naming.task_id("ExtName", {}) == "ExtName__99914b932b"


def test_an_added_path_is_named_by_the_md5_of_its_text() -> None:
    assert naming.bundle_processing_name("add", {"path": "data/dir"}, {}) == "add_43533e4094_d41d8cd98f"


def test_a_bundle_made_by_hand_is_named_by_its_code_reference() -> None:
    assert naming.bundle_processing_name("pkg.mod.fn", {}, {}).startswith("pkg.mod.fn_d41d8cd98f_")
    assert naming.bundle_processing_name("", {}, {}) == "_d41d8cd98f_d41d8cd98f"
    assert naming.default_name("pkg.mod.fn") == "fn"


def test_input_names_count_only_by_their_order() -> None:
    assert naming.task_processing_name("T", {"a": "x", "b": "y"}) == naming.task_processing_name(
        "T", {"p": "x", "q": "y"}
    )
    assert naming.task_processing_name("T", {"a": "x", "b": "y"}) != naming.task_processing_name(
        "T", {"a": "y", "b": "x"}
    )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n": "3"},
        {"label": "a label, longer than sixteen characters", "n": "-1"},
        {"a": "ä/b", "b": "", "c": "2020-01-01", "d": "not shown"},
        {"d": '{"k": [1, 2]}'},
    ],
)
def test_task_ids_are_luigis(params: dict[str, str]) -> None:
    assert naming.task_id("ns.Family", params) == task_id_str("ns.Family", params)
