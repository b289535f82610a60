"""
The plan of an apply: every task it may need, inputs before those who read them, and what is decided already.

The graph is walked once, with a stack of its own: a chain of ten thousand tasks must not recurse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from disdat.errors import Corrupt, DisdatError, InvalidInput, NotFound, TaskFailed
from disdat.pipeline import coded, params
from disdat.pipeline.coded import Coded
from disdat.pipeline.outcome import Named, Outcome
from disdat.pipeline.reuse import Reuse
from disdat.pipeline.session import External, Session
from disdat.pipeline.task import Declared, PipeTask, declared, make, state_of
from disdat.pipeline.work import Earlier, Work, identify, key_of, reused, settle

_PORTION = 100
"""So many tasks' earlier results are asked for at once."""

_Identity = tuple[type[PipeTask], tuple[tuple[str, str], ...]]


@dataclass(slots=True, eq=False)
class Node:
    """One task of the graph: what it reads, by argument, and what is decided for it."""

    task: PipeTask
    inputs: Mapping[str, Node | External]
    work: Work
    outcome: Outcome | None = None
    """What became of it; None until that is known."""
    yielded: dict[str, Node] = field(default_factory=dict)
    """What it yielded while it ran, by :func:`~disdat.pipeline.work.key_of`."""

    @property
    def upstream(self) -> dict[str, Node]:
        """The tasks it reads from."""
        return {argument: each for argument, each in self.inputs.items() if isinstance(each, Node)}

    @property
    def missing(self) -> dict[str, External]:
        """Its external inputs that are not there."""
        given = self.inputs.items()
        return {argument: each for argument, each in given if isinstance(each, External) and each.bundle is None}


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
        self._nodes: dict[_Identity, Node] = {}

    @property
    def nodes(self) -> list[Node]:
        """All there are, in the order in which they were found."""
        return list(self._nodes.values())

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
        opened: dict[_Identity, None] = {}
        known = len(self._nodes)
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
                self._nodes[key] = self._builder.node(task, self._nodes, is_root=task is root)
                opened.pop(key, None)
                stack.pop()
                continue
            opened[key] = None
            _refuse_cycle(opened, pending)
            stack.extend(reversed(pending))
        return list(islice(self._nodes.values(), known, None))

    def cut(self, count: int) -> None:
        """Forget all but the first *count* nodes."""
        while len(self._nodes) > count:
            self._nodes.popitem()


def discover(root: PipeTask, session: Session, asked: Asked) -> Plan:
    """
    The plan of *root* and every task it needs, *root* last.

    Raises:
        TaskFailed, InvalidInput: As :meth:`Plan.add`.
    """
    state_of(root).name = asked.name
    plan = Plan(session, asked)
    plan.add(root, is_root=True)
    return plan


def extend(plan: Plan, reader: Node, wanted: Sequence[Named]) -> list[Node]:
    """
    Take in the tasks that *reader* yielded, and decide them as far as that can be: the nodes that are new.

    From now on *reader* has them in :attr:`Node.yielded`.

    Raises:
        TaskFailed: A ``pipe_requires`` raised, or an external input is missing.
        InvalidInput: A task needs itself.
    """
    known, added, yielded = len(plan.nodes), list[Node](), dict[str, Node]()
    try:
        for task in map(make, wanted):
            added += plan.add(task)
            yielded[key_of(task)] = node = plan.node(task)
            if _needs(node, reader):
                raise InvalidInput(
                    f"{params.describe(reader.task)} yields {params.describe(task)}, which needs it",
                    hint="a task cannot depend on what is made from it",
                )
        if told := missing_inputs(added):
            raise TaskFailed(told, hint="an external input is never made here: make or add it first")
    except BaseException:
        plan.cut(known)
        raise
    decide_known(added)
    reader.yielded |= yielded
    return added


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


def decide_known(nodes: list[Node]) -> None:
    """Decide every task whose inputs are all there already, each after its inputs; the others stay open."""
    read = {each for node in nodes for each in node.upstream.values()}
    for first in range(0, len(nodes), _PORTION):
        portion = nodes[first : first + _PORTION]
        earlier = _look_back(portion, read)
        for part in _independent(portion):
            _decide(part, earlier)


def _look_back(nodes: list[Node], read: Set[Node]) -> Earlier:
    """Ask together for earlier results, and for what those that are *read* by other tasks probably are."""
    session = nodes[0].work.session
    names = {node: (node.work.processing_name, node.work.name) for node in nodes if not node.work.forced}
    found = dict(zip(names.values(), session.earlier(list(names.values())), strict=True))
    newest = [row for node, name in names.items() if node in read for row in found[name][:1]]
    with suppress(NotFound, Corrupt):  # who needs one that cannot be read reads it again, and is told
        session.read([row.uuid for row in newest])
    return lambda work: found[work.processing_name, work.name]


def _independent(nodes: list[Node]) -> Iterator[list[Node]]:
    """The nodes in their order, cut where one reads another of its part."""
    part: dict[Node, None] = {}
    for node in nodes:
        if any(each in part for each in node.upstream.values()):
            yield list(part)
            part.clear()
        part[node] = None
    yield list(part)


def _decide(nodes: list[Node], earlier: Earlier) -> None:
    for node in nodes:
        node.work = replace(node.work, inputs=_known_inputs(node))
    ready = [node for node in nodes if len(node.work.inputs) == len(node.inputs) and not node.work.forced]
    known = [identify(node.work) for node in ready]
    for node, each, decision in zip(ready, known, settle(known, earlier), strict=True):
        if isinstance(decision, Reuse):
            node.outcome = reused(each, decision)
        else:
            node.work = replace(node.work, why=decision.why)


def _known_inputs(node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument, each in node.inputs.items():
        if isinstance(each, External):
            uuid = each.bundle.uuid if each.bundle else None
        else:
            uuid = each.outcome.bundle if each.outcome else None
        if uuid is not None:
            found[argument] = uuid
    return found


class _Builder:
    """Makes nodes; what concerns a class is found out once."""

    def __init__(self, session: Session, asked: Asked) -> None:
        self.session = session
        self._asked = asked
        self._code: dict[type[PipeTask], Coded] = {}

    def node(self, task: PipeTask, nodes: Mapping[_Identity, Node], *, is_root: bool) -> Node:
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


def _identity(task: PipeTask) -> _Identity:
    return type(task), tuple(sorted(params.identifying(task).items()))


def _declared(task: PipeTask) -> Declared:
    try:
        return declared(task)
    except Exception as exc:
        hint = exc.hint if isinstance(exc, DisdatError) else ""
        raise TaskFailed(
            f"{params.describe(task)}: pipe_requires raised {type(exc).__name__}: {exc}", hint=hint
        ) from exc


def _tasks(said: Declared) -> Iterator[PipeTask]:
    return (each for each in said.inputs.values() if isinstance(each, PipeTask))


def _refuse_cycle(opened: Mapping[_Identity, None], pending: list[PipeTask]) -> None:
    for each in pending:
        if _identity(each) in opened:
            raise InvalidInput(
                f"{params.describe(each)} needs itself", hint="a task cannot depend on what is made from it"
            )
