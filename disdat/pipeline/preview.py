"""
What an apply would do, told before anything runs: of each task whether it runs, why, and what that takes.

What a task that runs will make is not known yet, and so neither is whether what reads it runs: it may come out as
before. Nothing is written, and no code of a task but its ``pipe_requires`` runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Lineage, TaskKey
from disdat.core.canonical import Json
from disdat.errors import DisdatError
from disdat.ops import presence
from disdat.pipeline import graph, identity, loading, observed, params, plan, reasons, reuse
from disdat.pipeline.deciding import sought
from disdat.pipeline.garbage import rarely_collected
from disdat.pipeline.graph import Asked, Node, Plan
from disdat.pipeline.loading import load_class
from disdat.pipeline.reasons import NO_EARLIER_RESULT, Reason
from disdat.pipeline.reuse import Prior, Rerun, Wanted
from disdat.pipeline.session import LOOKED_BACK, External, Session, of_run
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
    """The places of the tasks that it yielded when it last ran; where it is not reused, it may yield others."""
    as_last_time: bool = False
    """Whether it is there only since a task that may yield others yielded it when that last ran."""
    reasons: Sequence[Reason] = ()
    """Of what runs, why: as far as that is known by comparing, one by one."""
    bundle: str | None = None
    """What is used again."""
    seconds: float | None = None
    """How long it took when it last ran, with whatever parameters; None where it never did, or is not to run."""
    fetch_bytes: int = 0
    """What is to be fetched from the remote for what reads its output, or for its external inputs."""

    @property
    def against(self) -> str | None:
        """The earlier result, a bundle's uuid, that was compared with to say why it runs."""
        return reasons.compared(self.reasons)

    def to_json(self) -> dict[str, Json]:
        return {
            "task": self.task,
            "class": self.cls,
            "decision": self.decision,
            "why": self.why,
            "reasons": [each.to_json() for each in self.reasons],
            "inputs": dict(self.inputs),
            "yields": list(self.yields),
            "as_last_time": self.as_last_time,
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


@rarely_collected()
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
    recompute: bool = False,
) -> Preview:
    """
    What applying *transform* (a class, or ``module.Class``) with these arguments would do now; nothing is changed.

    Raises:
        ApplyError: A ``pipe_requires`` raised.
        Unavailable: The bytes of earlier results are on the remote only, which does not answer, and not *recompute*.
        InvalidInput, NotFound: *transform*, its parameters or an option cannot be used.
    """
    root = build(load_class(transform) if isinstance(transform, str) else transform, given or {})
    name = plan.name_of(output_bundle)
    session = of_run(context, rerun=rerun, code_version=code_version, force_all=force_all, recompute=recompute)
    planned = plan.discover(root, session, Asked(name, force=force))
    plan.decide_known(planned, planned.nodes)
    return _told(planned, session, planned.node(root))


def _told(planned: Plan, session: Session, root: Node) -> Preview:
    sure = planned.nodes
    foreseen = _foresee(planned, session)
    number = {node: at for at, node in enumerate(planned.nodes)}
    verdicts: dict[Node, _Verdict] = {}
    for node in number:
        verdicts[node] = _judge(node, foreseen.looked.get(node, _NOTHING), verdicts)
    readers = [node for node, verdict in verdicts.items() if verdict.decision != "reuse"]
    fetched = _to_fetch(session.context, readers, foreseen.yields)
    told = []
    for node, at in number.items():
        bundle = node.outcome.bundle if node.outcome else None
        own = {bundle} if bundle else {each.bundle.uuid for each in _externals(node) if each.bundle}
        told.append(
            Expected(
                task=params.describe(node.task),
                cls=node.work.code.name,
                decision=verdicts[node].decision,
                why=verdicts[node].why,
                inputs={argument: number[each] for argument, each in node.upstream.items()},
                yields=[number[each] for each in (*node.yielded.values(), *foreseen.yields.get(node, ()))],
                as_last_time=at >= len(sure),
                reasons=verdicts[node].reasons,
                bundle=bundle,
                seconds=foreseen.looked[node].seconds if node in foreseen.looked else None,
                fetch_bytes=sum(fetched.pop(uuid, 0) for uuid in own),  # each once, for whoever comes first
            )
        )
    return Preview(told, number[root], graph.missing_inputs(sure))


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """Of the tasks that are not known to be reused what was earlier, and what they yielded then."""

    looked: dict[Node, _Earlier]
    yields: dict[Node, list[Node]]


def _foresee(planned: Plan, session: Session) -> _Foreseen:
    """Look back, and take into the plan what tasks yielded when they last ran, and what those yielded then."""
    found = _Foreseen({}, {})
    fresh = planned.nodes
    while fresh:
        undecided = [node for node in fresh if node.outcome is None]
        found.looked.update(_look_back(undecided, session))
        count = len(planned)
        for node in undecided:
            if again := list(_as_last_time(planned, node, found.looked[node])):
                found.yields[node] = again
        fresh = planned.since(count)
        plan.decide_known(planned, fresh)
        fresh = planned.since(count)  # what is reused among them may have yielded others
    return found


def _as_last_time(planned: Plan, node: Node, earlier: _Earlier) -> Iterator[Node]:
    """The tasks that one yielded when it last ran, but those that there are no more; of what cannot run, none."""
    lineage = next((bundle.lineage for _, bundle in earlier.priors), Lineage())
    if node.missing or lineage.task is None or reasons.class_of(lineage.task) != node.work.code.name:
        return
    for each in observed.yielded(lineage):
        count = len(planned)
        try:
            yield planned.take(loading.task_of(each["class"], each["params"], each.get("defaults", ())))
        except DisdatError:  # its class, its parameters, or what it requires: it will be told when it is yielded
            planned.cut(count)


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
        found = session.earlier([sought(node.work) for node in some])
        read = session.context.catalog.bundles(list({row.uuid for rows in found for row in rows}))
        for node, rows in zip(some, found, strict=True):
            priors = [(row, read[row.uuid]) for row in rows if row.uuid in read]
            yield node, _Earlier(priors, len(rows) < LOOKED_BACK, next(_durations(priors), None))


def _durations(priors: Sequence[tuple[Row, Bundle]]) -> Iterator[float]:
    for _, bundle in priors:
        start, stop = bundle.lineage.started_us, bundle.lineage.stopped_us
        if start is not None and stop is not None:
            yield (stop - start) / 1_000_000


class _Verdict(NamedTuple):
    """What is expected of a task, and why; where that is by comparing, the reasons one by one."""

    decision: Decision
    why: str
    reasons: tuple[Reason, ...] = ()


def _judge(node: Node, earlier: _Earlier, verdicts: Mapping[Node, _Verdict]) -> _Verdict:
    work = node.work
    if node.outcome is not None:
        return _Verdict("reuse", node.outcome.why)
    if missing := [f"{each.wanted} as {argument}" for argument, each in node.missing.items()]:
        return _Verdict("missing", f"not in {work.session.context.name}: {', '.join(missing)}")
    if work.forced:
        return _run(Reason("forced", work.forced))
    open_inputs = [argument for argument, each in node.upstream.items() if each.outcome is None]
    if not open_inputs:
        return _run(*work.reasons)
    if work.session.rerun == "version" and all(verdicts[node.upstream[each]].decision == "run" for each in open_inputs):
        return _Verdict("run", f"{_listed(open_inputs)} made again")
    if changed := _changed(node, earlier):
        return _run(*changed)
    return _Verdict("unknown", f"reused if {_listed(open_inputs)} the same as before")


def _run(*why: Reason) -> _Verdict:
    return _Verdict("run", reasons.told(why), why)


def _listed(arguments: Sequence[str]) -> str:
    return f"input {arguments[0]} is" if len(arguments) == 1 else f"inputs {', '.join(arguments)} are"


def _changed(node: Node, earlier: _Earlier) -> Sequence[Reason]:
    """Why a task runs whatever its inputs come out as; nothing where it may be reused."""
    wanted = _key_without_inputs(node)
    told: list[list[Reason]] = []
    for row, bundle in earlier.priors:
        key = bundle.lineage.task
        if key is None or key.algorithm != wanted.algorithm:
            continue
        prior = Prior(row.uuid, row.name, key, {}, bundle.lineage.tainted)
        found = reuse.differences(prior, Wanted(node.work.name, wanted, {}))
        if not found:
            return []
        told.append(found)
    if not earlier.is_all:
        return []
    return told[0] if told else [NO_EARLIER_RESULT]


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


def _to_fetch(context: Context, readers: Sequence[Node], yields: Mapping[Node, Sequence[Node]]) -> dict[str, int]:
    """The bytes that are not here of each bundle that a task reads which runs, or may run."""
    if context.binding is None:
        return {}
    read = chain.from_iterable((*node.upstream.values(), *yields.get(node, ())) for node in readers)
    made = (each.outcome.bundle for each in read if each.outcome is not None)
    external = (each.bundle.uuid for node in readers for each in _externals(node) if each.bundle)
    uuids = list(dict.fromkeys(uuid for uuid in chain(made, external) if uuid is not None))
    lacking = [uuid for uuid, state in presence.of_rows(context, uuids).items() if state is not Presence.LOCAL]
    bundles = context.catalog.bundles(lacking)
    return {uuid: sum(presence.absent(context, bundle).values()) for uuid, bundle in bundles.items()}
