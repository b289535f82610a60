"""
Finding bundles: by name, uuid and tags; by reference; all that match.

A **reference** is ``name``, ``name@<uuid prefix>``, ``name@-1`` (the version before the latest),
``name@2026-03-01T09:00`` (the latest as of then), a uuid, or a uuid prefix of four hex digits or more.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import similar
from disdat.core.bundle import NOTHING
from disdat.errors import BadQuery, BundleNotFound, RefNotFound
from disdat.ops import watching, when
from disdat.ops.given import check_text

MIN_PREFIX = 4
_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
_BACK = re.compile(r"-([0-9]+)")
_SHOWN = 5
_MOST_COMPARED = 10_000
"""Names that are compared with a mistyped one; of more, it takes too long."""


class Which(enum.Enum):
    """Which of the versions that match are meant."""

    LATEST = "latest"
    OLD = "old"
    ALL = "all"


def get(
    context: Context,
    name: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    committed: bool | None = None,
) -> Row | None:
    """The bundle *uuid*, or the latest of *name* (None: of any name) with all *tags*; None if there is none."""
    if uuid is not None:
        name, tags, committed = None, NOTHING, None
    found = search(context, Filter(name=name, uuid=uuid, tags=tags, committed=committed, limit=1))
    return found[0] if found else None


def need(
    context: Context, name: str | None = None, *, uuid: str | None = None, tags: Mapping[str, str] = NOTHING
) -> Row:
    """As :func:`get`; BundleNotFound where that gives None."""
    row = get(context, name, uuid=uuid, tags=tags)
    if row is None:
        raise BundleNotFound(
            f"no bundle {_described(name, uuid, tags)} in the context {context.name}",
            hint=_near(context, name, otherwise="`dsdt ls` shows what is there"),
        )
    return row


def select(
    context: Context,
    name: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    which: Which = Which.LATEST,
) -> list[Row]:
    """
    The bundles meant by a name, a uuid or tags, newest first: the latest, all but the latest, or all.

    Raises:
        BadQuery: Neither name nor uuid nor tags were given: nothing is named, so nothing is meant.
    """
    check_named(name, uuid, tags)
    found = search(context, Filter(name=name, uuid=uuid, tags=tags))
    return {Which.LATEST: found[:1], Which.OLD: found[1:], Which.ALL: found}[which]


def check_named(name: str | None, uuid: str | None, tags: Mapping[str, str]) -> None:
    """Refuse, with BadQuery, to take nothing at all for the newest bundle of any name."""
    if name is None and uuid is None and not tags:
        raise BadQuery("nothing is named", hint="give a name, --uuid or --tag")


def search(context: Context, wanted: Filter) -> list[Row]:
    """Every bundle that passes *wanted*, newest first; InvalidInput for text that is not Unicode."""
    for text in (wanted.name, wanted.processing_name, wanted.uuid, *wanted.tags, *wanted.tags.values()):
        if text is not None:
            check_text("what is searched for", text)
    found = context.catalog.search(wanted)
    watching.asked(context, wanted, found)
    return found


def by_pattern(context: Context, text: str) -> Filter:
    """
    What a person means who names bundles in a listing.

    That very name, where a bundle has it, whatever characters are in it; else a ``/regular expression/``, found
    anywhere in the name; else, where there is one of ``*?[``, a glob for the whole name.

    Raises:
        BundleNotFound: It is no pattern, and no bundle has this name.
    """
    check_text("what is searched for", text)
    if context.catalog.latest(text):
        return Filter(name=text)
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return Filter(name_regex=text[1:-1])
    if any(wild in text for wild in "*?["):
        return Filter(name_glob=text)
    raise BundleNotFound(
        f"no bundle named {text!r} in the context {context.name}",
        hint=_near(context, text, otherwise="quote a glob such as 'my.*' to search"),
    )


def resolve(context: Context, reference: str) -> Row:
    """
    The one bundle a reference names. An existing name wins over a uuid prefix, and over an ``@`` inside it.

    Raises:
        BundleNotFound: It names nothing.
        RefNotFound: The name is there, but not that version.
        BadQuery: It is ambiguous (the message lists candidates), or its date cannot be read.
    """
    row = of_name(context, reference)
    if row is None and _PREFIX.fullmatch(reference):
        row = _by_prefix(context, reference)
    if row is None:
        forms = (
            "`dsdt ls` lists bundles; a reference is NAME, NAME@-1, NAME@DATE, NAME@UUID or 4 digits or more of a uuid"
        )
        raise BundleNotFound(
            f"no bundle {reference!r} in the context {context.name}", hint=_near(context, reference, otherwise=forms)
        )
    return row


def of_name(context: Context, reference: str) -> Row | None:
    """What ``name`` or ``name@version`` names, as :func:`resolve`; None where there is no such name."""
    check_text("what is searched for", reference)
    if row := get(context, reference):
        return row
    name, at, version = reference.rpartition("@")
    if at and (versions := search(context, Filter(name=name))):
        return _version(reference, name, version, versions)
    return None


def by_uuid(context: Context, uuid: str) -> Row:
    """
    The one bundle of a uuid, or of its first digits, four or more.

    Raises:
        BundleNotFound: There is none.
        BadQuery: There are several, or it cannot begin a uuid.
    """
    if not is_uuid_prefix(uuid):
        raise BadQuery(f"{uuid!r} is not a uuid", hint="give it whole, or its first digits, four or more")
    row = _by_prefix(context, uuid)
    if row is None:
        raise BundleNotFound(
            f"no bundle with uuid {uuid} in the context {context.name}", hint="`dsdt ls -v` shows the uuids"
        )
    return row


def is_uuid_prefix(text: str) -> bool:
    """Whether *text* is a uuid, or four of its first digits or more."""
    return _PREFIX.fullmatch(text) is not None


def chosen(
    context: Context,
    reference: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    which: Which = Which.LATEST,
) -> list[Row]:
    """
    The bundles a person chooses to change, newest first: those that pass all that is given.

    *reference* is ``name`` or ``name@version``, never a uuid: a mistyped name must not hit another bundle.

    Raises:
        BadQuery: Nothing is named, so nothing is meant.
        BundleNotFound: None passes, whatever *which*.
    """
    alone = reference is not None and uuid is None and not tags and which is Which.LATEST
    if alone and (row := of_name(context, str(reference))):
        return [row]
    whole = by_uuid(context, uuid).uuid if uuid is not None else None
    if not select(context, reference, uuid=whole, tags=tags):
        raise BundleNotFound(
            f"no bundle {_described(reference, uuid, tags)} in the context {context.name}",
            hint=_near(context, reference, otherwise="`dsdt ls` shows what is there"),
        )
    return select(context, reference, uuid=whole, tags=tags, which=which)


def _version(reference: str, name: str, version: str, versions: Sequence[Row]) -> Row:
    if back := _BACK.fullmatch(version):
        return _back(name, int(back[1]), versions)
    starting = [row for row in versions if row.uuid.startswith(version)]
    if starting and version:
        return _only(reference, starting)
    try:
        if version.endswith("d"):  # so many days ago, or a uuid that was mistyped
            raise BadQuery(f"{version!r} is no date", hint="give more digits of the uuid; of 3 days ago write @72h")
        moment = when.parse_last(version)
    except BadQuery as exc:
        raise BadQuery(f"{version!r} is neither the beginning of a uuid of {name} nor a date", hint=exc.hint) from exc
    earlier = [row for row in versions if row.created_us <= moment]
    if not earlier:
        raise RefNotFound(f"{name} had no version by {version}", hint=f"its first is {_moment(versions[-1])}")
    return earlier[0]


def _back(name: str, steps: int, versions: Sequence[Row]) -> Row:
    if steps >= len(versions):
        raise RefNotFound(f"{name} has {len(versions)} versions, none is {steps} back", hint=f"`dsdt ls -v {name}`")
    return versions[steps]


def _only(reference: str, found: Sequence[Row]) -> Row:
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{row.name}@{row.uuid[:13]}" for row in found[:_SHOWN])
    more = " and more" if len(found) > _SHOWN else ""
    raise BadQuery(f"{reference!r} is ambiguous: {shown}{more}", hint="give more digits of the uuid")


def _by_prefix(context: Context, prefix: str) -> Row | None:
    found = search(context, Filter(uuid_prefix=prefix, limit=_SHOWN + 1))
    return _only(prefix, found) if found else None


def _near(context: Context, reference: str | None, *, otherwise: str) -> str:
    """A hint at the name that may have been meant, and where none is near, *otherwise*."""
    if not reference:
        return otherwise
    names = context.catalog.names()
    name, at, _ = reference.rpartition("@")
    wanted = name if at else reference
    if wanted in names or len(names) > _MOST_COMPARED:
        return otherwise
    return similar.hint(wanted, names, otherwise=otherwise)


def _moment(row: Row) -> str:
    return when.local(row.created_us).isoformat(sep=" ", timespec="seconds")


def _described(name: str | None, uuid: str | None, tags: Mapping[str, str]) -> str:
    parts = [f"named {name!r}" if name is not None else "", f"with uuid {uuid}" if uuid else ""]
    parts += [f"tagged {key}:{text}" for key, text in tags.items()]
    return " ".join(part for part in parts if part) or "at all"
