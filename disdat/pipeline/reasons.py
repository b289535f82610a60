"""Why a task runs, as values: what differs between the result that is wanted and one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, cast

from disdat.core.bundle import TaskKey
from disdat.core.canonical import Json

Kind = Literal[
    "no earlier result",
    "forced",
    "renamed",
    "tainted",
    "bytes gone",
    "class",
    "parameter",
    "code",
    "salt",
    "input",
    "observed",
]

_SHOWN = 40
_CHANGES_TOLD = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """
    One reason for which a task runs.

    *about* is the parameter, the definition (``file:name``) or package, the input, or what was observed; *old* and
    *new* are what it was and is, where there is such. *against* is the earlier result, a bundle's uuid, that was
    compared with. :meth:`__str__` is for people.
    """

    kind: Kind
    text: str
    about: str = ""
    old: str | None = None
    new: str | None = None
    against: str | None = None

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Json]:
        """As a run's decisions have it: what says nothing is left out."""
        fields: dict[str, Json] = {"kind": self.kind, "text": self.text}
        if self.about:
            fields["about"] = self.about
        compared = {"old": self.old, "new": self.new, "against": self.against}
        return fields | {name: value for name, value in compared.items() if value is not None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Reason:  # JSON that was written here
        return cls(**fields)


NO_EARLIER_RESULT = Reason("no earlier result", "no earlier result")


def told(reasons: Iterable[Reason]) -> str:
    """Several reasons in one line."""
    return "; ".join(map(str, reasons))


def compared(reasons: Iterable[Reason]) -> str | None:
    """The earlier result, a bundle's uuid, that several reasons come from comparing with; None where there is none."""
    return next((each.against for each in reasons if each.against is not None), None)


def differences(old: TaskKey, new: TaskKey, *, inputs: bool = True) -> list[Reason]:
    """What a person would say changed between two keys; the inputs only if asked for."""
    found = [*_class_change(old, new), *_param_changes(_part(old, "params"), _part(new, "params"))]
    found += _code_change(_part(old, "code"), _part(new, "code"))
    found += _salt_change(old, new)
    if inputs:
        found += _input_changes(_part(old, "inputs"), _part(new, "inputs"))
    return found


def class_of(key: TaskKey) -> str:
    """The class a key is of, ``module.Class``."""
    return cast("str", key.components["class"])


def short(text: str) -> str:
    """*text* at a length a line can hold; of a digest its first digits."""
    if ":blake3:" in text or text.startswith("blake3:"):
        return text.rpartition(":")[2][:8]
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _part(key: TaskKey, name: str) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", key.components[name])


def _class_change(old: TaskKey, new: TaskKey) -> Iterator[Reason]:
    before, after = class_of(old), class_of(new)
    if before != after:
        yield Reason("class", f"class {before} -> {after}", old=before, new=after)


def _salt_change(old: TaskKey, new: TaskKey) -> Iterator[Reason]:
    before, after = (str(key.components.get("salt", "")) for key in (old, new))
    if before != after:
        yield Reason("salt", "another salt", old=before, new=after)


def _param_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    return _changes("parameter", old, new, lambda name: f"parameter {name}:")


def _input_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    return _changes("input", old, new, lambda name: f"input {name} has other content:")


def _changes(
    kind: Literal["parameter", "input"],
    old: Mapping[str, Json],
    new: Mapping[str, Json],
    changed: Callable[[str], str],
) -> Iterator[Reason]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield Reason(kind, f"{kind} {name} is new", name, new=_text(new[name]))
        elif name not in new:
            yield Reason(kind, f"{kind} {name} is gone", name, old=_text(old[name]))
        elif old[name] != new[name]:
            text = f"{changed(name)} {short(str(old[name]))} -> {short(str(new[name]))}"
            yield Reason(kind, text, name, _text(old[name]), _text(new[name]))


def _text(value: Json) -> str | None:
    return None if value is None else str(value)


def _code_change(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    if old == new:
        return
    before, after = str(old["policy"]), str(new["policy"])
    if before != after:
        yield Reason("code", f"code counts by {after}, not by {before}", "policy", before, after)
    elif found := [*_definition_changes(old, new), *_file_changes(old, new), *_package_changes(old, new)]:
        yield from islice(found, _CHANGES_TOLD)
        if len(found) > _CHANGES_TOLD:
            yield Reason("code", f"{len(found) - _CHANGES_TOLD} more changes of code")
    elif what := next((name for name in ("version", "commit") if old.get(name) != new.get(name)), None):
        was, is_now = str(old.get(what)), str(new.get(what))
        yield Reason("code", f"code {what} {short(was)} -> {short(is_now)}", what, was, is_now)
    else:
        yield Reason("code", "the code changed")


def _definition_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Reason]:
    """What became of definitions; those that changed first, as the others mostly follow from them."""
    before, after = _listed(old, new, "definitions")

    def became(names: Iterable[str], what: str) -> list[Reason]:
        called = {name: _called(name, after.get(name) or before[name]) for name in names}
        return [_definition(name, f"{text} {what}", before, after) for name, text in called.items()]

    changed = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    come, gone = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    found = became(sorted(changed, key=lambda name: _is_import(after[name])), "changed")
    found += became((name for name in come if not _is_import(after[name])), "is used now")
    found += became((name for name in gone if not _is_import(before[name])), "is no longer used")
    # Another import comes with what reads it, and is told only where nothing else is.
    return found or became(come, "is new") + became(gone, "is gone")


def _file_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    before, after = _listed(old, new, "files")
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield _definition(name, f"code in {name} changed", before, after)
    for name in sorted(after.keys() - before.keys()):
        yield _definition(name, f"code in {name} is used now", before, after)
    for name in sorted(before.keys() - after.keys()):
        yield _definition(name, f"code in {name} is no longer used", before, after)


def _package_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    before = cast("Mapping[str, str]", old.get("packages", {}))
    after = cast("Mapping[str, str]", new.get("packages", {}))
    for name in sorted({*before, *after}):
        if name not in before:
            yield _definition(name, f"package {name} {after[name]} is used now", before, after)
        elif name not in after:
            yield _definition(name, f"package {name} {before[name]} is no longer used", before, after)
        elif before[name] != after[name]:
            yield _definition(name, f"package {name} {before[name]} -> {after[name]}", before, after)


def _definition(name: str, text: str, before: Mapping[str, str], after: Mapping[str, str]) -> Reason:
    return Reason("code", text, name, before.get(name), after.get(name))


def _listed(old: Mapping[str, Json], new: Mapping[str, Json], what: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    if what not in old or what not in new:
        return {}, {}
    return cast("Mapping[str, str]", old[what]), cast("Mapping[str, str]", new[what])


def _is_import(found: str) -> bool:
    return found.startswith("import ")


def _called(name: str, found: str) -> str:
    """A definition for people: ``function clean in helpers.py``."""
    file, _, inner = name.rpartition(":")
    match found.partition(" ")[0]:
        case "statements":
            return f"what importing {file} does"
        case "file":
            return f"file {file}"
        case "import":
            return f"import of {inner} in {file}"
        case "block":
            return f"{inner} in {file}" if inner else f"code in {file}"
        case kind:
            return f"{kind} {inner} in {file}"
