"""What people mean who list bundles by a pattern, or choose some to change."""

from __future__ import annotations

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context
from disdat.errors import BadQuery, BundleNotFound
from disdat.ops import bundles, find
from disdat.ops.bundles import Birth
from disdat.ops.find import Which


def store(context: Context, name: str, **tags: str) -> str:
    return bundles.write(context, name, Birth(name, tags=tags)).uuid


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", Filter(name="plain")),
        ("*", Filter(name="*")),
        ("/x/", Filter(name="/x/")),
        ("pl*", Filter(name_glob="pl*")),
        ("/pl.*/", Filter(name_regex="pl.*")),
        ("//", Filter(name_regex="")),
        ("/a*", Filter(name_glob="/a*")),
    ],
)
def test_a_name_that_is_there_is_no_pattern(context: Context, text: str, wanted: Filter) -> None:
    for name in ("plain", "*", "/x/"):
        store(context, name)
    assert find.by_pattern(context, text) == wanted


def test_what_is_neither_name_nor_pattern_is_not_found(context: Context) -> None:
    with pytest.raises(BundleNotFound, match=r"no bundle named 'a\.b'"):
        find.by_pattern(context, "a.b")


def test_a_uuid_may_be_cut_to_what_tells_it_apart(context: Context) -> None:
    uuid = store(context, "data")
    assert [find.by_uuid(context, uuid[:n]).uuid for n in (4, 8, 36)] == [uuid] * 3


@pytest.mark.parametrize("text", ["", "abc", "xyzt", "*", "ABCD"])
def test_what_cannot_begin_a_uuid_is_refused(context: Context, text: str) -> None:
    with pytest.raises(BadQuery):
        find.by_uuid(context, text)


def test_what_is_chosen_passes_all_that_is_given(context: Context) -> None:
    old, new = store(context, "data", k="v"), store(context, "data")
    other = store(context, "other", k="v")

    def chosen(*args: str, **options: object) -> list[str]:
        return [row.uuid for row in find.chosen(context, *args, **options)]  # type: ignore[arg-type]

    assert chosen("data") == [new]
    assert chosen("data@-1") == [old]
    assert chosen("data", which=Which.ALL) == [new, old]
    assert chosen("data", tags={"k": "v"}) == [old]
    assert chosen(tags={"k": "v"}, which=Which.OLD) == [old]
    assert chosen("other", which=Which.OLD) == []
    assert chosen("other", uuid=other[:8]) == [other]


@pytest.mark.parametrize("which", Which)
def test_nothing_chosen_is_never_something_changed(context: Context, which: Which) -> None:
    """Nor is a uuid taken where a name is meant, or a bundle whose uuid is right and whose name is not."""
    uuid = store(context, "data")
    with pytest.raises(BadQuery, match="nothing is named"):
        find.chosen(context, which=which)
    for reference, given in (("none", None), (uuid, None), (uuid[:8], None), ("other", uuid)):
        with pytest.raises(BundleNotFound):
            find.chosen(context, reference, uuid=given, which=which)
