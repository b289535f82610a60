"""A reference names one bundle, or says why not."""

from __future__ import annotations

import pytest

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.errors import BadName, BadQuery, BundleNotFound, Conflict, InvalidInput, RefNotFound
from disdat.ops import bundles, find, when
from disdat.ops.bundles import Birth
from disdat.ops.find import Which


@pytest.fixture
def versions(context: Context) -> list[Bundle]:
    """Three versions of ``n``, oldest first."""
    return [bundles.write(context, number, Birth("n", tags={"k": str(number)})) for number in range(3)]


def test_a_name_is_its_latest_version(context: Context, versions: list[Bundle]) -> None:
    assert find.resolve(context, "n").uuid == versions[2].uuid


def test_text_that_is_no_unicode_is_refused_rather_than_looked_for(context: Context, versions: list[Bundle]) -> None:
    for text in ("\udcff", "\udcff*", "n@\udcff"):
        with pytest.raises(InvalidInput, match="not valid Unicode"):
            find.resolve(context, text)
        with pytest.raises(InvalidInput, match="not valid Unicode"):
            find.by_pattern(context, text)


def test_minus_one_is_the_version_before(context: Context, versions: list[Bundle]) -> None:
    assert [find.resolve(context, f"n@-{back}").uuid for back in (0, 1, 2)] == [v.uuid for v in reversed(versions)]
    with pytest.raises(RefNotFound, match="n has 3 versions, none is 3 back"):
        find.resolve(context, "n@-3")


def test_a_uuid_or_its_beginning_names_a_version(context: Context, versions: list[Bundle]) -> None:
    for version in versions:
        for reference in (version.uuid, version.uuid[:8], f"n@{version.uuid[:8]}"):
            assert find.resolve(context, reference).uuid == version.uuid


def test_a_date_names_the_latest_as_of_then(context: Context, versions: list[Bundle]) -> None:
    between = when.from_us(versions[1].created_us).isoformat()
    assert find.resolve(context, f"n@{between}").uuid == versions[1].uuid
    with pytest.raises(RefNotFound, match="n had no version by 2001-01-01"):
        find.resolve(context, "n@2001-01-01")


def test_a_name_that_holds_an_at_sign_or_looks_like_a_uuid_wins(context: Context, versions: list[Bundle]) -> None:
    for name in ("n@2026", versions[0].uuid[:8]):
        made = bundles.write(context, name, Birth(name))
        assert find.resolve(context, name).uuid == made.uuid


@pytest.mark.parametrize("name", ["n@-1", "new@-0", "n@@-12"])
def test_no_new_bundle_is_named_as_an_earlier_version_is(context: Context, versions: list[Bundle], name: str) -> None:
    """It would shadow the reference, ``n@-1`` the version of ``n`` before the latest."""
    with pytest.raises(BadName, match="may not end as that of an earlier version"):
        bundles.write(context, 0, Birth(name))
    assert find.resolve(context, "n@-1").uuid == versions[1].uuid


@pytest.mark.parametrize("name", ["n@-", "n@1", "@-1x", "n-1", "n@-1\n"])
def test_other_names_with_an_at_sign_are_names(context: Context, name: str) -> None:
    made = bundles.write(context, 0, Birth(name))
    assert find.resolve(context, name).uuid == made.uuid


def test_an_ambiguous_prefix_lists_the_candidates(context: Context) -> None:
    twins = ["abcd0000-0000-4000-8000-000000000001", "abcd0000-0000-4000-8000-000000000002"]
    for uuid in twins:
        bundles.BundleWriter(context, uuid=uuid).close(None, Birth("twin"))
    for reference in ("abcd", "twin@abcd"):
        with pytest.raises(BadQuery, match=r"is ambiguous: twin@abcd0000-0000, twin@abcd0000-0000"):
            find.resolve(context, reference)


@pytest.mark.parametrize("reference", ["", "N", "%", "n%", "n.", "zzzz", "abc", "n' OR '1'='1", "m@-1"])
def test_what_names_nothing_is_said_to(context: Context, versions: list[Bundle], reference: str) -> None:
    with pytest.raises(BundleNotFound, match="no bundle"):
        find.resolve(context, reference)


def test_selecting_nothing_selects_nothing(context: Context, versions: list[Bundle]) -> None:
    for which in Which:
        with pytest.raises(BadQuery, match="nothing is named"):
            find.select(context, which=which)


def test_old_is_all_but_the_latest(context: Context, versions: list[Bundle]) -> None:
    def selected(which: Which) -> list[str]:
        return [row.uuid for row in find.select(context, "n", which=which)]

    newest_first = [version.uuid for version in reversed(versions)]
    assert selected(Which.ALL) == newest_first
    assert selected(Which.LATEST) == newest_first[:1]
    assert selected(Which.OLD) == newest_first[1:]
    assert [row.uuid for row in find.select(context, tags={"k": "1"}, which=Which.ALL)] == [versions[1].uuid]


def test_committed_bundles_are_removed_only_by_force(context: Context, versions: list[Bundle]) -> None:
    bundles.commit(context, find.select(context, "n"))
    rows = find.select(context, "n", which=Which.ALL)
    with pytest.raises(Conflict, match="1 of 3 committed"):
        bundles.remove(context, rows)
    assert len(find.select(context, "n", which=Which.ALL)) == 3
    bundles.remove(context, rows, force=True)
    assert find.select(context, "n") == []


def test_tags_change_after_the_fact_but_not_reserved_ones(context: Context, versions: list[Bundle]) -> None:
    row = find.resolve(context, "n")
    bundles.tag(context, row, set_to={"k": "new", "more": ""}, unset=[])
    assert find.resolve(context, "n").tags == {"k": "new", "more": ""}
    bundles.tag(context, find.resolve(context, "n"), unset=["k"])
    assert find.resolve(context, "n").tags == {"more": ""}
    for key in ("committed", "root_task", "__param.x", "__transient", ""):
        with pytest.raises(InvalidInput):
            bundles.tag(context, row, set_to={key: "x"})
    with pytest.raises(InvalidInput, match="no tag 'gone'"):
        bundles.tag(context, row, unset=["gone"])


def test_reaffirming_makes_an_old_version_the_latest(context: Context, versions: list[Bundle]) -> None:
    bundles.reaffirm(context, [versions[0].uuid])
    assert find.resolve(context, "n").uuid == versions[0].uuid
    assert find.resolve(context, "n").created_us == versions[0].created_us
