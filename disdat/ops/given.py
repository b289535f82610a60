"""What may be given as names, tags and other text: what a manifest could hold and no catalog find is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

from disdat.core.reserved import is_reserved
from disdat.errors import BadName, InvalidInput

_BACK = re.compile(r"@-[0-9]+\Z")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags a user may not set; TypeError, as Disdat raises it, where key or value is no str."""
    check_mapping("tags", tags)
    for key, text in tags.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"tags are text: {key!r}: {text!r}")
        check_text("a tag", key + text)
        if not key:
            raise InvalidInput("a tag needs a key", hint="write key:value")
        if is_reserved(key):
            raise InvalidInput(f"the tag {key!r} is reserved", hint="`dsdt commit` commits; choose another key")


def check_mapping(what: str, given: Mapping[str, str]) -> None:
    """Refuse, with a TypeError, what is given in place of text by text."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} are a dict of text, such as {{'key': 'value'}}, not {given!r}")


def check_text(what: str, text: str) -> None:
    """Refuse text that is not Unicode, such as a name made of bytes that are not UTF-8; TypeError for no text."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is text, not {text!r}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidInput(f"{what} is not valid Unicode: {text!r}", hint="write it in UTF-8") from exc


def check_name(what: str, name: str) -> None:
    """Refuse what no new bundle may be named: no Unicode, or what would shadow ``name@-1``, the version before."""
    check_text(what, name)
    if _BACK.search(name):
        raise BadName(
            f"{what} may not end as that of an earlier version does: {name!r}",
            hint="`name@-1` names the version before the latest; choose a name without @- and a number at its end",
        )
