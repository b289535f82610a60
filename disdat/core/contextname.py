"""What can name a context: it is the name of a directory, and typed often."""

from __future__ import annotations

from disdat.errors import BadName

MAX_BYTES = 200


def check_context_name(name: str) -> None:
    """Refuse what cannot name a context; the rule is in ``docs/format.md``."""
    reason = _fault(name)
    if reason:
        raise BadName(
            f"{name!r} cannot name a context: {reason}",
            hint="use letters, digits, dots, dashes and underscores; the first one may not be a dot",
        )


def _fault(name: str) -> str:
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it begins with a dot"
    if any(c in "/\\" or not c.isprintable() for c in name):
        return "it has a slash, a backslash or a character that cannot be printed"
    if len(name.encode("utf-8")) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    return ""
