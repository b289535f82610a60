"""What is decided of the tasks of an apply before anything runs, and of those that are yielded while it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace

from disdat.errors import ApplyError, Corrupt, DisdatError, InvalidInput, NotFound, TaskFailed
from disdat.ops import given
from disdat.pipeline import loading, observed, params
from disdat.pipeline.deciding import Ask, Earlier, Known, Work, hits, identify, settle, sought
from disdat.pipeline.graph import Asked, Node, Plan, missing_inputs
from disdat.pipeline.observed import Observation, key_of
from disdat.pipeline.outcome import Named
from disdat.pipeline.reasons import Reason, told
from disdat.pipeline.reuse import Reuse, Run
from disdat.pipeline.session import External, Session
from disdat.pipeline.task import PipeTask, make, state_of
from disdat.pipeline.work import reused

_PORTION = 100
"""So many tasks' earlier results are asked for at once."""


def discover(root: PipeTask, session: Session, asked: Asked) -> Plan:
    """
    The plan of *root* and every task it needs, *root* last.

    Raises:
        ApplyError: A ``pipe_requires`` raised; the exception is its cause.
        InvalidInput: As :meth:`Plan.add`.
    """
    state_of(root).name = asked.name
    plan = Plan(session, asked)
    try:
        plan.add(root, is_root=True)
    except TaskFailed as exc:
        raise ApplyError(exc.message, {"success": False, "did_work": False}, hint=exc.hint) from exc.__cause__
    return plan


def name_of(output_bundle: str) -> str:
    """What an apply calls the last task's output; empty, of ``-``, where that is left to the task."""
    given.check_name("the output bundle's name", output_bundle)
    if not output_bundle:
        raise InvalidInput("the output bundle needs a name", hint="leave it out to let the task name it")
    return "" if output_bundle == "-" else output_bundle


def extend(plan: Plan, reader: Node, wanted: Sequence[Named]) -> list[Node]:
    """
    Take in the tasks that *reader* yielded, and decide them as far as that can be: the nodes that are new.

    From now on *reader* has them in :attr:`Node.yielded`.

    Raises:
        TaskFailed: A ``pipe_requires`` raised, or an external input is missing.
        InvalidInput: A task needs itself.
    """
    known, yielded = len(plan), dict[str, Node]()
    try:
        for task in map(make, wanted):
            yielded[key_of(task)] = node = plan.take(task)
            if node is reader.yielded.get(key_of(task)) and node.outcome is not None:
                raise InvalidInput(
                    f"{params.describe(reader.task)} yields {params.describe(task)} again, though it was handed that",
                    hint="a parameter that is written as text must read back as it was",
                )
            if _needs(node, reader):
                raise InvalidInput(
                    f"{params.describe(reader.task)} yields {params.describe(task)}, which needs it",
                    hint="a task cannot depend on what is made from it",
                )
        if lacking := missing_inputs(plan.since(known)):
            raise TaskFailed(lacking, hint="an external input is never made here: make or add it first")
        decide_known(plan, plan.since(known))
    except BaseException:
        plan.cut(known)
        raise
    reader.yields(yielded)
    return plan.since(known)


def _needs(node: Node, wanted: Node) -> bool:
    """Whether *node* is *wanted*, or waits for it."""
    seen, stack = {node}, [node]
    while stack:
        each = stack.pop()
        if each is wanted:
            return True
        if each.outcome is None:
            found = {*each.upstream.values(), *each.yielded.values()} - seen
            seen |= found
            stack.extend(found)
    return False


def outputs(node: Node) -> Iterator[str]:
    """The bundle that a task made or reused in this run, and those that were lost before."""
    yield from node.work.lost
    if node.outcome is not None and node.outcome.bundle is not None:
        yield node.outcome.bundle


def reopen(node: Node, uuid: str, why: str) -> None:
    """Have a task run though it is done, as nobody can read its output, the bundle *uuid*, any more."""
    reason = Reason("bytes gone", f"bytes gone: {why}", uuid)
    node.work = replace(node.work, reasons=(reason,), lost=(*node.work.lost, uuid))
    node.outcome = state_of(node.task).made = None


def decide_known(plan: Plan, nodes: Sequence[Node]) -> None:
    """
    Decide every task whose inputs are all there already, each after its inputs; the others stay open.

    One that yielded tasks is decided after those, which come into the plan with it if it is reused.

    Raises:
        Unavailable: The bytes of a result are not here, and the remote does not say whether it has them.
    """
    # A stack of ours: what is yielded may yield, a thousand times over.
    stack = [_deciding(plan, nodes)]
    while stack:
        before = next(stack[-1], None)
        if before is None:
            stack.pop()
        else:
            stack.append(_deciding(plan, before))


def _deciding(plan: Plan, nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """Decide nodes, and yield those that have to be decided before it can go on."""
    read = {each for node in nodes for each in node.upstream.values()}
    for first in range(0, len(nodes), _PORTION):
        portion = [node for node in nodes[first : first + _PORTION] if node.outcome is None]
        if not portion:
            continue
        parts = list(_independent(portion))
        foreseen = _Foreseen(portion if len(parts) > 1 else (), _look_back(portion, read))
        for part in parts:
            yield from _decide(plan, part, foreseen)


def _look_back(nodes: Sequence[Node], read: Set[Node]) -> Earlier:
    """Ask together for earlier results, and for what those that are *read* by other tasks probably are."""
    session = nodes[0].work.session
    open_nodes = [node for node in nodes if not node.work.forced]
    rows = session.earlier([sought(node.work) for node in open_nodes])
    found = {_names(node.work): each for node, each in zip(open_nodes, rows, strict=True)}
    newest = [row for node in open_nodes if node in read for row in found[_names(node.work)][:1]]
    with suppress(NotFound, Corrupt):  # who needs one that cannot be read reads it again, and is told
        session.read([row.uuid for row in newest])
    return lambda work: found[_names(work)]


def _names(work: Work) -> tuple[str, str]:
    return work.processing_name, work.name


def _independent(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """The nodes in their order, cut where one reads another of its part."""
    part: dict[Node, None] = {}
    for node in nodes:
        if any(each in part for each in node.upstream.values()):
            yield list(part)
            part.clear()
        part[node] = None
    yield list(part)


class _Foreseen:
    """
    The keys of tasks if what they read comes out as it last did, and what there is of those.

    It is asked for together: of tasks that read each other there would else be a question for each.
    """

    def __init__(self, nodes: Sequence[Node], earlier: Earlier) -> None:
        self.earlier = earlier
        self._known: dict[Node, Known] = {}
        newest: dict[Node, str] = {}
        for node in nodes:
            if node.work.forced:
                continue
            newest.update((node, row.uuid) for row in earlier(node.work)[:1])
            inputs = _known_inputs(node, newest)
            if len(inputs) == len(node.inputs):
                with suppress(NotFound, Corrupt):  # who needs one that cannot be read is told when it comes to that
                    self._known[node] = identify(node.work, inputs)
        self.hits = hits(list(self._known.values()))

    def known(self, node: Node) -> Known:
        """The key of a task whose inputs are known by now."""
        foreseen = self._known.get(node)
        if foreseen is not None and foreseen.has(node.work.inputs):
            return replace(foreseen, work=node.work)
        return identify(node.work, node.work.inputs)


def _decide(plan: Plan, nodes: Sequence[Node], foreseen: _Foreseen) -> Iterator[Sequence[Node]]:
    nodes = [node for node in nodes if node.outcome is None]
    earlier = foreseen.earlier
    for node in nodes:
        has_earlier = bool(node.work.forced or earlier(node.work))
        node.work = replace(node.work, inputs=_known_inputs(node, {}), has_earlier=has_earlier)
    ready = [node for node in nodes if len(node.work.inputs) == len(node.inputs) and not node.work.forced]
    known = [foreseen.known(node) for node in ready]
    for node, each, decision in zip(ready, known, settle(known, earlier, foreseen.hits), strict=True):
        if isinstance(decision, Ask):
            yield from _decide_after(plan, node, each, decision, earlier)
        else:
            _conclude(node, each, decision)


def _conclude(node: Node, known: Known, decision: Reuse | Run) -> None:
    if isinstance(decision, Reuse):
        node.outcome = reused(known, decision)
    else:
        node.work = replace(node.work, reasons=decision.reasons)


def _decide_after(
    plan: Plan, node: Node, known: Known, decision: Reuse | Run | Ask, earlier: Earlier
) -> Iterator[Sequence[Node]]:
    """Decide a task whose earlier result hangs on tasks that it yielded."""
    count = len(plan)
    while isinstance(decision, Ask):
        absent = node.work.absent
        yield from _look_ahead(plan, node, decision.tasks)
        if node.work.absent != absent:
            _look_away(plan, node, count)
        known = replace(known, work=node.work)
        [decision] = settle([known], earlier)
    if isinstance(decision, Run):
        # It may yield others this time, and these would run for nothing.
        _look_away(plan, node, count)
        node.work = replace(node.work, absent={})
    _conclude(node, known, decision)


def _look_ahead(plan: Plan, node: Node, tasks: Sequence[Observation]) -> Iterator[Sequence[Node]]:
    """Find out what there is of tasks that *node* yielded in an earlier run; of the first that is not there, why."""
    found: dict[str, Node] = {}
    for each in tasks:
        try:
            found[observed.key(each)] = plan.take(
                loading.task_of(each["class"], each["params"], each.get("defaults", ()))
            )
        except DisdatError as exc:
            _is_absent(node, each, exc.message)
            return
    plan.awaiting.add(node)
    yield _open_below(plan, found.values())
    plan.awaiting.discard(node)
    there: dict[str, str] = {}
    for each, (key, yielded) in zip(tasks, found.items(), strict=True):
        if yielded.outcome is None or yielded.outcome.bundle is None:
            why = missing_inputs(_open_below(plan, [yielded])) or told(yielded.work.reasons) or yielded.work.forced
            _is_absent(node, each, why or "what it reads is made first")
            return
        there[key] = yielded.outcome.bundle
    node.yields(found)
    node.work = replace(node.work, yielded={**node.work.yielded, **there})


def _is_absent(node: Node, task: Observation, why: str) -> None:
    about = observed.describe(task)
    reason = Reason("observed", f"{about}, which it yielded, runs: {why}", about)
    node.work = replace(node.work, absent={**node.work.absent, observed.key(task): reason})


def _look_away(plan: Plan, node: Node, count: int) -> None:
    """Forget the tasks that *node* may yield, for which nodes behind the first *count* are there."""
    node.yielded.clear()
    plan.cut(count)
    node.work = replace(node.work, yielded={})


def _open_below(plan: Plan, nodes: Iterable[Node]) -> list[Node]:
    """Nodes and all they need, as far as that is open and does not wait for a decision, inputs first."""
    found: dict[Node, None] = {}
    stack = [(node, False) for node in nodes]
    while stack:
        each, is_entered = stack.pop()
        if is_entered:
            found[each] = None
        elif each not in found and each.outcome is None and each not in plan.awaiting:
            stack.append((each, True))
            stack.extend((below, False) for below in each.upstream.values())
    return list(found)


def _known_inputs(node: Node, expected: Mapping[Node, str]) -> dict[str, str]:
    """The uuids of its inputs, as far as they are there, or *expected*."""
    found: dict[str, str] = {}
    for argument, each in node.inputs.items():
        if isinstance(each, External):
            uuid = each.bundle.uuid if each.bundle else None
        else:
            uuid = each.outcome.bundle if each.outcome else expected.get(each)
        if uuid is not None:
            found[argument] = uuid
    return found
