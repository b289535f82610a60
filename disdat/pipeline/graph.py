"""
The tasks of an apply and what each reads: all that the last one may need, inputs before those who read them.

The graph is walked once, with a stack of its own: a chain of ten thousand tasks must not recurse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from disdat.errors import DisdatError, InvalidInput, TaskFailed
from disdat.pipeline import coded, params
from disdat.pipeline.coded import Coded
from disdat.pipeline.deciding import Work
from disdat.pipeline.outcome import Outcome
from disdat.pipeline.session import External, Session
from disdat.pipeline.task import Declared, Identity, PipeTask, declared, state_of

_CYCLE_TOLD = 12


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
    yielders: list[Node] = field(default_factory=list)
    """Those that had it in that."""

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

    def yields(self, found: Mapping[str, Node]) -> None:
        """Have it yield what was *found*, too."""
        self.yielded |= found
        for each in found.values():
            each.yielders.append(self)


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
        """Forget all but the first *count* nodes, and but what those yield that stay, with all it needs."""
        cut = self._order[count:]
        del self._order[count:]
        for node in cut:
            del self._nodes[_identity(node.task)]
        for node in self._still_yielded(cut):
            self._nodes[_identity(node.task)] = node
            self._order.append(node)

    def _still_yielded(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of some nodes that are no longer there, but that one which is there yields, with all they need."""
        yielders = dict.fromkeys(each for node in nodes for each in node.yielders)
        there = [each for each in yielders if self._nodes.get(_identity(each.task)) is each]
        stack = [yielded for each in there for yielded in each.yielded.values()]
        gone, kept = set(nodes), set[Node]()
        while stack:
            node = stack.pop()
            if node in gone and node not in kept:
                kept.add(node)
                stack.extend((*node.upstream.values(), *node.yielded.values()))
        return [node for node in nodes if node in kept]


def missing_inputs(nodes: Sequence[Node]) -> str:
    """Which external inputs are not there, for people; empty where all are."""
    return "; ".join(
        f"{params.describe(node.task)} needs {each.wanted} as {argument}, which is not in "
        f"{node.work.session.context.name}"
        for node in nodes
        for argument, each in node.missing.items()
    )


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
