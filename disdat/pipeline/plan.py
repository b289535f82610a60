"""
The plan of an apply: every task it may need, inputs before those who read them, and what is decided already.

The graph is walked once, with a stack of its own: a chain of ten thousand tasks must not recurse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace

from disdat.errors import ApplyError, Corrupt, DisdatError, InvalidInput, NotFound, TaskFailed
from disdat.ops import bundles
from disdat.pipeline import coded, loading, observed, params
from disdat.pipeline.coded import Coded
from disdat.pipeline.deciding import Ask, Earlier, Known, Work, hits, identify, settle, sought
from disdat.pipeline.observed import Observation, key_of
from disdat.pipeline.outcome import Named, Outcome
from disdat.pipeline.reasons import Reason, told
from disdat.pipeline.reuse import Reuse, Run
from disdat.pipeline.session import External, Session
from disdat.pipeline.task import Declared, Identity, PipeTask, declared, make, state_of
from disdat.pipeline.work import reused

_CYCLE_TOLD = 12
_PORTION = 100
"""So many tasks' earlier results are asked for at once."""


@dataclass(slots=True, eq=False)
class Node:
    """One task of the graph: what it reads, by argument, and what is decided for it."""

    task: PipeTask
    inputs: Mapping[str, Node | External]
    work: Work
    outcome: Outcome | None = None
    """What became of it; None until that is known."""
    yielded: dict[str, Node] = field(default_factory=dict)
    """What it yields, or yielded when it ran and is reused, by :func:`~disdat.pipeline.observed.key_of`."""

    @property
    def upstream(self) -> dict[str, Node]:
        """The tasks it reads from."""
        return {argument: each for argument, each in self.inputs.items() if isinstance(each, Node)}

    @property
    def external(self) -> dict[str, External]:
        """Its inputs that no task of the run makes."""
        return {argument: each for argument, each in self.inputs.items() if isinstance(each, External)}

    @property
    def missing(self) -> dict[str, External]:
        """Its external inputs that are not there."""
        return {argument: each for argument, each in self.external.items() if each.bundle is None}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller of an apply wants of the last task."""

    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    uuid: str | None = None


class Plan:
    """All tasks of a run, inputs before those who read them; equal tasks once. It grows while tasks yield others."""

    def __init__(self, session: Session, asked: Asked) -> None:
        self.run_id = session.run.id
        self._builder = _Builder(session, asked)
        self._nodes: dict[Identity, Node] = {}
        self._order: list[Node] = []
        self.awaiting: set[Node] = set()
        """Those whose decision waits for another one."""

    def __len__(self) -> int:
        return len(self._order)

    @property
    def nodes(self) -> list[Node]:
        """All there are, in the order in which they were found."""
        return list(self._order)

    def node(self, task: PipeTask) -> Node:
        """The one of a task that was added."""
        return self._nodes[_identity(task)]

    def add(self, task: PipeTask, *, is_root: bool = False) -> list[Node]:
        """
        Take in a task and all that it needs: the nodes that are new, nothing of them decided.

        Raises:
            TaskFailed: A ``pipe_requires`` raised; the exception is its cause.
            InvalidInput: A task needs itself.
        """
        opened: dict[Identity, PipeTask] = {}
        known = len(self)
        stack = [task]
        state_of(task).session = self._builder.session
        root = task if is_root else None
        while stack:
            task = stack[-1]
            key = _identity(task)
            if key in self._nodes:
                stack.pop()
                continue
            pending = [each for each in _tasks(_declared(task)) if _identity(each) not in self._nodes]
            if not pending:
                self._nodes[key] = node = self._builder.node(task, self._nodes, is_root=task is root)
                self._order.append(node)
                opened.pop(key, None)
                stack.pop()
                continue
            opened[key] = task
            _refuse_cycle(opened, pending)
            stack.extend(reversed(pending))
        return self.since(known)

    def take(self, task: PipeTask) -> Node:
        """As :meth:`add`; the task's own node."""
        self.add(task)
        return self.node(task)

    def since(self, count: int) -> list[Node]:
        """All but the first *count* nodes."""
        return self._order[count:]

    def cut(self, count: int) -> None:
        """Forget all but the first *count* nodes."""
        for node in self._order[count:]:
            del self._nodes[_identity(node.task)]
        del self._order[count:]


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
    bundles.check_name("the output bundle's name", output_bundle)
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
    reader.yielded |= yielded
    return plan.since(known)


def missing_inputs(nodes: Sequence[Node]) -> str:
    """Which external inputs are not there, for people; empty where all are."""
    return "; ".join(
        f"{params.describe(node.task)} needs {each.wanted} as {argument}, which is not in "
        f"{node.work.session.context.name}"
        for node in nodes
        for argument, each in node.missing.items()
    )


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
    node.yielded |= found
    node.work = replace(node.work, yielded={**node.work.yielded, **there})


def _is_absent(node: Node, task: Observation, why: str) -> None:
    about = observed.describe(task)
    reason = Reason("observed", f"{about}, which it yielded, runs: {why}", about)
    node.work = replace(node.work, absent={**node.work.absent, observed.key(task): reason})


def _look_away(plan: Plan, node: Node, count: int) -> None:
    """Forget the tasks that *node* may yield, for which all but the first *count* nodes are there."""
    plan.cut(count)
    node.yielded.clear()
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


class _Builder:
    """Makes nodes; what concerns a class is found out once."""

    def __init__(self, session: Session, asked: Asked) -> None:
        self.session = session
        self._asked = asked
        self._code: dict[type[PipeTask], Coded] = {}

    def node(self, task: PipeTask, nodes: Mapping[Identity, Node], *, is_root: bool) -> Node:
        said = declared(task)
        inputs = {
            argument: each if isinstance(each, External) else nodes[_identity(each)]
            for argument, each in said.inputs.items()
        }
        # Equal tasks are one task, whoever asked for it first.
        said.inputs = {argument: each.task if isinstance(each, Node) else each for argument, each in inputs.items()}
        work = Work(
            session=self.session,
            task=task,
            name=task.human_id(),
            processing_name=task.processing_id(),
            code=self._coded(type(task)),
            tags=dict(said.tags),
            forced=self._forced(said, is_root=is_root),
            uuid=self._asked.uuid if is_root else None,
            root=self._asked.tags if is_root else None,
        )
        return Node(task, inputs, work)

    def _forced(self, said: Declared, *, is_root: bool) -> str:
        if self.session.force_all:
            return "forced, as all tasks"
        if is_root and self._asked.force:
            return "forced"
        return "forced by the task itself" if said.forced else ""

    def _coded(self, cls: type[PipeTask]) -> Coded:
        if cls not in self._code:
            self._code[cls] = coded.of_class(cls, self.session)
        return self._code[cls]


def _identity(task: PipeTask) -> Identity:
    state = state_of(task)
    if state.identity is None:
        state.identity = type(task), tuple(sorted(params.identifying(task).items()))
    return state.identity


def _declared(task: PipeTask) -> Declared:
    try:
        return declared(task)
    except DisdatError as exc:
        raise TaskFailed(f"{params.describe(task)}: {exc}", hint=exc.hint) from exc
    except Exception as exc:
        raise TaskFailed(f"{params.describe(task)}: pipe_requires raised {type(exc).__name__}: {exc}") from exc


def _tasks(said: Declared) -> Iterator[PipeTask]:
    return (each for each in said.inputs.values() if isinstance(each, PipeTask))


def _refuse_cycle(opened: Mapping[Identity, PipeTask], pending: list[PipeTask]) -> None:
    """Refuse tasks that one of those needs which are *opened* because they need them; the cycle is told as a whole."""
    for each in pending:
        if _identity(each) in opened:
            way = [*opened.values()][[*opened].index(_identity(each)) :]
            names = [params.describe(task) for task in (*way, each)]
            if len(names) > _CYCLE_TOLD:
                names = [*names[: _CYCLE_TOLD - 2], f"{len(names) - _CYCLE_TOLD + 1} more", names[-1]]
            raise InvalidInput(f"a cycle: {' -> '.join(names)}", hint="a task cannot depend on what is made from it")
