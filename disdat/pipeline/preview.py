"""
What an apply would do, told before anything runs: of each task whether it runs, why, and what that takes.

What a task that runs will make is not known yet, and so neither is whether what reads it runs: it may come out as
before. Nothing is written, and no code of a task but its ``pipe_requires`` runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from disdat import config
from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, TaskKey
from disdat.core.canonical import Json
from disdat.errors import ApplyError, TaskFailed
from disdat.ops import presence, runs
from disdat.pipeline import identity, params, plan, reasons
from disdat.pipeline.loading import load_class
from disdat.pipeline.plan import Asked, Node, Plan
from disdat.pipeline.reuse import Rerun
from disdat.pipeline.session import LOOKED_BACK, External, Session
from disdat.pipeline.task import PipeTask, build
from disdat.remote.known import Presence

Decision = Literal["reuse", "run", "unknown", "missing"]
"""``unknown``: it depends on what its inputs come out as; ``missing``: an external input is not there."""

_TOGETHER = 200
"""Of so many tasks the earlier results are read at once."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an apply would do with one task."""

    task: str
    """As people write it: ``Train(gamma=0.1)``."""
    cls: str
    """``module.Class``."""
    decision: Decision
    why: str
    inputs: Mapping[str, int]
    """The place in the plan of each task it reads, by argument; those come before it."""
    yields: Sequence[int] = ()
    """The places of the tasks that it yielded when it last ran, where it is reused."""
    bundle: str | None = None
    """What is used again."""
    seconds: float | None = None
    """How long it took when it last ran, with whatever parameters; None where it never did, or is not to run."""
    fetch_bytes: int = 0
    """What is to be fetched from the remote for what reads its output, or for its external inputs."""

    def to_json(self) -> dict[str, Json]:
        return {
            "task": self.task,
            "class": self.cls,
            "decision": self.decision,
            "why": self.why,
            "inputs": dict(self.inputs),
            "yields": list(self.yields),
            "bundle": self.bundle,
            "seconds": self.seconds,
            "fetch_bytes": self.fetch_bytes,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """What an apply would do: every task it may need, inputs before those who read them."""

    tasks: Sequence[Expected]
    root: int
    """The place of the task that is asked for."""
    missing: str = ""
    """Which external inputs are not there, for people; an apply would end at once."""

    def count(self, decision: Decision) -> int:
        """Of how many tasks that is expected."""
        return sum(each.decision == decision for each in self.tasks)

    @property
    def seconds(self) -> float:
        """What all that runs, or may run, took when it last did, one after the other."""
        return sum(each.seconds or 0.0 for each in self.tasks)

    @property
    def fetch_bytes(self) -> int:
        """What is to be fetched from the remote."""
        return sum(each.fetch_bytes for each in self.tasks)

    def to_json(self) -> dict[str, Json]:
        return {
            "tasks": [each.to_json() for each in self.tasks],
            "root": self.root,
            "reuse": self.count("reuse"),
            "run": self.count("run"),
            "unknown": self.count("unknown"),
            "missing": self.count("missing"),
            "seconds": self.seconds,
            "fetch_bytes": self.fetch_bytes,
        }


def preview(
    context: Context,
    transform: type[PipeTask] | str,
    given: Mapping[str, object] | None = None,
    *,
    output_bundle: str = "-",
    force: bool = False,
    force_all: bool = False,
    rerun: Rerun | None = None,
    code_version: str | None = None,
) -> Preview:
    """
    What applying *transform* (a class, or ``module.Class``) would do now; nothing is changed.

    Raises:
        ApplyError: A ``pipe_requires`` raised.
        InvalidInput, NotFound: *transform* or its parameters cannot be used.
    """
    root = build(load_class(transform) if isinstance(transform, str) else transform, given or {})
    settings = config.load()
    session = Session(
        context,
        runs.of_pipeline(context),
        rerun=rerun or settings.rerun,
        code_version=code_version or settings.code_version,
        packages=settings.packages,
        force_all=force_all,
    )
    try:
        planned = plan.discover(root, session, Asked("" if output_bundle == "-" else output_bundle, force=force))
    except TaskFailed as exc:
        raise ApplyError(exc.message, {"success": False, "did_work": False}, hint=exc.hint) from exc.__cause__
    plan.decide_known(planned, planned.nodes)
    return _told(planned, session, planned.node(root))


def _told(planned: Plan, session: Session, root: Node) -> Preview:
    nodes = planned.nodes
    looked = dict(_look_back([node for node in nodes if node.outcome is None], session))
    decided: dict[Node, tuple[Decision, str]] = {}
    for node in nodes:
        decided[node] = _decide(node, looked.get(node, _NOTHING), decided)
    runs_or_may = {node for node, (decision, _) in decided.items() if decision != "reuse"}
    fetched = _to_fetch(session.context, nodes, runs_or_may)
    number = {node: at for at, node in enumerate(nodes)}
    told = []
    for node in nodes:
        decision, why = decided[node]
        bundle = node.outcome.bundle if node.outcome else None
        own = {bundle} if bundle else {each.bundle.uuid for each in _externals(node) if each.bundle}
        told.append(
            Expected(
                task=params.describe(node.task),
                cls=node.work.code.name,
                decision=decision,
                why=why,
                inputs={argument: number[each] for argument, each in node.upstream.items()},
                yields=[number[each] for each in node.yielded.values()],
                bundle=bundle,
                seconds=looked[node].seconds if node in looked else None,
                fetch_bytes=sum(fetched.pop(uuid, 0) for uuid in own),  # each once, for whoever comes first
            )
        )
    return Preview(told, number[root], plan.missing_inputs(nodes))


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What earlier results say of a task that is not known to be reused: the newest first, and how long that took."""

    priors: Sequence[tuple[Row, Bundle]] = ()
    is_all: bool = True
    seconds: float | None = None


_NOTHING = _Earlier()


def _look_back(nodes: Sequence[Node], session: Session) -> Iterator[tuple[Node, _Earlier]]:
    """The earlier results of tasks, read many at a time."""
    for first in range(0, len(nodes), _TOGETHER):
        some = nodes[first : first + _TOGETHER]
        found = session.earlier([(node.work.processing_name, node.work.name) for node in some])
        read = session.context.catalog.bundles(list({row.uuid for rows in found for row in rows}))
        for node, rows in zip(some, found, strict=True):
            priors = [(row, read[row.uuid]) for row in rows if row.uuid in read]
            yield node, _Earlier(priors, len(rows) < LOOKED_BACK, next(_durations(priors), None))


def _durations(priors: Sequence[tuple[Row, Bundle]]) -> Iterator[float]:
    for _, bundle in priors:
        start, stop = bundle.lineage.started_us, bundle.lineage.stopped_us
        if start is not None and stop is not None:
            yield (stop - start) / 1_000_000


def _decide(node: Node, earlier: _Earlier, decided: Mapping[Node, tuple[Decision, str]]) -> tuple[Decision, str]:
    work = node.work
    if node.outcome is not None:
        return "reuse", node.outcome.why
    if missing := [f"{each.wanted} as {argument}" for argument, each in node.missing.items()]:
        return "missing", f"not in {work.session.context.name}: {', '.join(missing)}"
    if work.forced:
        return "run", work.forced
    open_inputs = [argument for argument, each in node.upstream.items() if each.outcome is None]
    if not open_inputs:
        return "run", reasons.told(work.reasons)
    if work.session.rerun == "version" and all(decided[node.upstream[each]][0] == "run" for each in open_inputs):
        return "run", f"{_listed(open_inputs)} made again"
    changed = _changed(node, earlier)
    if changed is not None:
        return "run", changed
    return "unknown", f"reused if {_listed(open_inputs)} the same as before"


def _listed(arguments: Sequence[str]) -> str:
    return f"input {arguments[0]} is" if len(arguments) == 1 else f"inputs {', '.join(arguments)} are"


def _changed(node: Node, earlier: _Earlier) -> str | None:
    """Why a task runs whatever its inputs come out as; None where it may be reused."""
    wanted = _key_without_inputs(node)
    told: list[str] = []
    for row, bundle in earlier.priors:
        key = bundle.lineage.task
        if key is None or key.algorithm != wanted.algorithm:
            continue
        found = [str(each) for each in reasons.differences(key, wanted, inputs=False)]
        found += _faults(row, bundle, node)
        if not found:
            return None
        told.append("; ".join(found))
    if not earlier.is_all:
        return None
    return told[0] if told else "no earlier result"


def _faults(row: Row, bundle: Bundle, node: Node) -> Iterator[str]:
    if row.name != node.work.name:
        yield f"renamed: {reasons.short(row.name)} -> {reasons.short(node.work.name)}"
    if bundle.lineage.tainted:
        yield "tainted: the code changed while the earlier result was made"


def _key_without_inputs(node: Node) -> TaskKey:
    return identity.task_key(
        cls=node.work.code.name,
        params=params.identifying(node.task),
        code=node.work.code.component,
        inputs={},
        salt=node.task.salt,
    )


def _externals(node: Node) -> Iterator[External]:
    return (each for each in node.inputs.values() if isinstance(each, External))


def _to_fetch(context: Context, nodes: Sequence[Node], readers: set[Node]) -> dict[str, int]:
    """The bytes that are not here of each bundle that a task reads which runs, or may run."""
    if context.binding is None:
        return {}
    made = (
        each.outcome.bundle
        for each in chain.from_iterable(node.upstream.values() for node in nodes if node in readers)
        if each.outcome is not None
    )
    external = (each.bundle.uuid for node in nodes if node in readers for each in _externals(node) if each.bundle)
    uuids = list(dict.fromkeys(uuid for uuid in chain(made, external) if uuid is not None))
    lacking = [uuid for uuid, state in presence.of_rows(context, uuids).items() if state is not Presence.LOCAL]
    read = context.catalog.bundles(lacking)
    return {uuid: sum(presence.absent(context, bundle).values()) for uuid, bundle in read.items()}
