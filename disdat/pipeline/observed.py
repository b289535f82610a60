"""
What a task looks at while it runs, beside its inputs: noted with what it makes, and looked at again before reuse.

Each observation is JSON, as ``docs/format.md`` has it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, count
from typing import Any, cast

import luigi

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import canonical, digest
from disdat.core.bundle import Bundle, Dependency, Lineage
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.core.reserved import is_reserved
from disdat.errors import ContextNotFound
from disdat.pipeline import params, source
from disdat.pipeline.reasons import Reason, short
from disdat.pipeline.session import Session

Observation = Mapping[str, Any]  # JSON, of whatever version

_ANY = Filter()


class Observer:
    """Notes what one run of a task looks at, each thing once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._noted: dict[bytes, dict[str, Json]] = {}

    def found(self, context: Context, wanted: Filter, rows: Sequence[Row]) -> None:
        """What was asked of a context, and found: a :data:`~disdat.ops.watching.Watcher`."""
        here = self._session.context
        if context.moment_us is not None or context.home.known_id != here.home.known_id:
            return  # what was does not change, and what others have cannot be asked for again
        seen = self._session.contents(context, rows)
        elsewhere: dict[str, Json] = {} if context.name == here.name else {"context": context.name}
        self._note({"kind": "find", "query": query(wanted), **elsewhere, "digest": _digest(seen)})

    def tags(self, argument: str, tags: Mapping[str, str]) -> None:
        """The tags of an input."""
        self._note({"kind": "tags", "argument": argument, "digest": _tags_digest(tags)})

    def uuid(self, argument: str, uuid: str) -> None:
        """Which bundle an input is."""
        self._note({"kind": "uuid", "argument": argument, "uuid": uuid})

    def yielded(self, task: luigi.Task, given: Dependency, *, left_out: Sequence[str] = ()) -> None:
        """A task that it yielded, what that gave, and which of its parameters were left to their defaults."""
        told = {"kind": "task", "argument": given.argument, **identity_of(task), "digest": self._session.exact(given)}
        self._note(told | ({"defaults": list(left_out)} if left_out else {}))

    def listed(self) -> tuple[Json, ...]:
        """All of it, in the order in which it was first seen."""
        return tuple(self._noted.values())

    def _note(self, observation: dict[str, Json]) -> None:
        self._noted.setdefault(canonical.encode(observation), observation)


@dataclass(frozen=True, slots=True)
class Now:
    """What there is to compare with: the inputs by argument, and what is known of tasks that may be yielded."""

    session: Session
    inputs: Mapping[str, Dependency] = field(default_factory=dict)
    yielded: Mapping[str, str] = field(default_factory=dict)
    """The uuid of what there is of each, by :func:`key_of`."""
    absent: Mapping[str, Reason] = field(default_factory=dict)
    """Why there is nothing of them, by :func:`key_of`."""


def differences(bundle: Bundle, now: Now) -> Iterator[Reason]:
    """What a bundle's task observed and would see otherwise now; of a task of which nothing is known, nothing."""
    for each in bundle.lineage.observed:
        observation = cast("Observation", each)
        try:
            reason = _difference(observation, bundle, now)
        except (KeyError, TypeError, AttributeError):  # another version's, or nobody's
            reason = Reason("observed", "what it observed cannot be compared", str(observation))
        if reason is not None:
            yield reason


def unknown(bundle: Bundle, now: Now) -> tuple[Observation, ...]:
    """The tasks that a bundle's task yielded and of which nothing is known yet."""
    known = now.yielded.keys() | now.absent.keys()
    return tuple(each for each in yielded(bundle.lineage) if key(each) not in known)


def yielded(lineage: Lineage) -> list[Observation]:
    """The tasks that a bundle's task yielded."""
    return [each for each in cast("Sequence[Observation]", lineage.observed) if each.get("kind") == "task"]


def argument_of(task: luigi.Task, *taken: Container[str]) -> str:
    """What a task that was yielded is an input as: its id, which has neither the module nor all of the parameters."""
    task_id: str = task.task_id
    names = chain([task_id], (f"{task_id}#{number}" for number in count(2)))
    return next(name for name in names if not any(name in each for each in taken))


def left_out(task: luigi.Task, given: Container[str]) -> tuple[str, ...]:
    """The significant parameters of a task that are not among those *given*."""
    return tuple(name for name, each in task.get_params() if each.significant and name not in given)


def identity_of(task: luigi.Task) -> dict[str, Json]:
    """What tells a task of a run from all that are not equal to it, in every process."""
    return {"class": source.class_name(type(task)), "params": dict(params.identifying(task))}


def key_of(task: luigi.Task) -> str:
    """:func:`identity_of` a task, as text."""
    return canonical.encode(identity_of(task)).decode()


def describe(observation: Observation) -> str:
    """A task that was yielded, for people."""
    shown = ", ".join(f"{name}={short(text)}" for name, text in observation["params"].items())
    return f"{observation['class'].rpartition('.')[2]}({shown})"


def query(wanted: Filter) -> dict[str, Json]:
    """What was asked for, as JSON."""
    given = {each.name: getattr(wanted, each.name) for each in fields(Filter)}
    asked = {name: value for name, value in given.items() if value != getattr(_ANY, name)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in asked.items()}


def key(observation: Observation) -> str:
    """:func:`key_of` the task that was yielded."""
    return canonical.encode({"class": observation["class"], "params": observation["params"]}).decode()


def _difference(observation: Observation, bundle: Bundle, now: Now) -> Reason | None:
    match observation["kind"]:
        case "task":
            return _other_task(observation, bundle, now)
        case "find":
            return _other_found(observation, bundle, now)
        case "tags":
            return _other_tags(observation, now)
        case "uuid":
            return _other_uuid(observation, now)
        case kind:
            return Reason("observed", f"it observed a {kind}, which this version cannot look at", str(kind))


def _other_task(observation: Observation, bundle: Bundle, now: Now) -> Reason | None:
    task = key(observation)
    if task in now.absent or task not in now.yielded:
        return now.absent.get(task)
    uuid, about = now.yielded[task], describe(observation)
    there = now.session.given({"": uuid})[""]
    exact = now.session.exact(there)
    if exact != observation["digest"]:
        old, new = str(observation["digest"]), str(exact)
        text = f"{about}, which it yielded, has other content: {short(old)} -> {short(new)}"
        return Reason("observed", text, about, old, new)
    before = next((each.uuid for each in bundle.lineage.inputs if each.argument == observation["argument"]), "")
    if now.session.rerun == "version" and uuid != before:
        text = f"{about}, which it yielded, has another version: {before[:8]} -> {uuid[:8]}"
        return Reason("observed", text, about, before, uuid)
    return None


def _other_found(observation: Observation, bundle: Bundle, now: Now) -> Reason | None:
    asked, name = observation["query"], observation.get("context")
    try:
        context = now.session.context if name is None else now.session.context.home.context(name)
        found = _found(now.session, context, Filter(**asked), leaving_out=bundle.uuid)
    except ContextNotFound:
        found = []
    new = _digest(found)
    if new == observation["digest"]:
        return None
    about = ", ".join(f"{key} {value}" for key, value in asked.items() if key != "limit") or "all"
    return Reason("observed", f"what it looked for is another now: {about}", about, observation["digest"], new)


def _other_tags(observation: Observation, now: Now) -> Reason | None:
    argument = observation["argument"]
    row = now.session.context.catalog.get(now.inputs[argument].uuid)
    new = _tags_digest({} if row is None else row.tags)
    if new == observation["digest"]:
        return None
    return Reason("observed", f"the tags of input {argument} changed", argument, observation["digest"], new)


def _other_uuid(observation: Observation, now: Now) -> Reason | None:
    argument, old = observation["argument"], observation["uuid"]
    new = now.inputs[argument].uuid
    if new == old:
        return None
    text = f"input {argument}, whose uuid it read, is another bundle: {old[:8]} -> {new[:8]}"
    return Reason("observed", text, argument, old, new)


def _found(session: Session, context: Context, wanted: Filter, *, leaving_out: str) -> list[tuple[str, str | None]]:
    """What is found now; a bundle could not have found itself."""
    one_more = wanted if wanted.limit is None else replace(wanted, limit=wanted.limit + 1)
    found = [each for each in session.found(context, one_more) if each[0] != leaving_out]
    return found[: wanted.limit]


def _digest(found: Sequence[tuple[str, str | None]]) -> Digest:
    return digest.of_json([content for _, content in found])


def _tags_digest(tags: Mapping[str, str]) -> Digest:
    """The system's own do not count: a bundle gets one when it is committed."""
    return digest.of_json({key: text for key, text in tags.items() if not is_reserved(key)})
