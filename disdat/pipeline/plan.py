"""
The plan of an apply: every task it may need, inputs before those who read them, and what is decided already.

The graph is walked once, with a stack of its own: a chain of ten thousand tasks must not recurse.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from disdat import capture
from disdat.errors import Corrupt, DisdatError, InvalidInput, NotFound, TaskFailed
from disdat.pipeline import identity, params, source
from disdat.pipeline.reuse import Reuse
from disdat.pipeline.session import External, Session
from disdat.pipeline.task import Declared, PipeTask, declared, state_of
from disdat.pipeline.work import Coded, Earlier, Outcome, Work, identify, reused, settle

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


def discover(root: PipeTask, session: Session, asked: Asked) -> list[Node]:
    """
    Every task *root* needs, inputs before those who read them, *root* last; equal tasks once.

    Raises:
        TaskFailed: A ``pipe_requires`` raised; the exception is its cause.
        InvalidInput: A task needs itself.
    """
    state_of(root).session = session
    state_of(root).name = asked.name
    builder = _Builder(session, asked, _identity(root))
    nodes: dict[_Identity, Node] = {}
    opened: dict[_Identity, None] = {}
    stack = [root]
    while stack:
        task = stack[-1]
        key = _identity(task)
        if key in nodes:
            stack.pop()
            continue
        pending = [each for each in _tasks(_declared(task)) if _identity(each) not in nodes]
        if not pending:
            nodes[key] = builder.node(key, task, nodes)
            opened.pop(key, None)
            stack.pop()
            continue
        opened[key] = None
        _refuse_cycle(opened, pending)
        stack.extend(reversed(pending))
    return list(nodes.values())


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

    def __init__(self, session: Session, asked: Asked, root: _Identity) -> None:
        self._session = session
        self._asked = asked
        self._root = root
        self._code: dict[type[PipeTask], Coded] = {}

    def node(self, key: _Identity, task: PipeTask, nodes: Mapping[_Identity, Node]) -> Node:
        said, is_root = declared(task), key == self._root
        inputs = {
            argument: each if isinstance(each, External) else nodes[_identity(each)]
            for argument, each in said.inputs.items()
        }
        # Equal tasks are one task, whoever asked for it first.
        said.inputs = {argument: each.task if isinstance(each, Node) else each for argument, each in inputs.items()}
        work = Work(
            session=self._session,
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
        if self._session.force_all:
            return "forced, as all tasks"
        if is_root and self._asked.force:
            return "forced"
        return "forced by the task itself" if said.forced else ""

    def _coded(self, cls: type[PipeTask]) -> Coded:
        if cls not in self._code:
            self._code[cls] = _code_of(cls, cls.code_version or self._session.code_version)
        return self._code[cls]


def _code_of(cls: type[PipeTask], policy: str) -> Coded:
    name, directory = source.class_name(cls), _directory(cls)
    if not identity.reads_source(policy):
        return Coded(name, identity.code_component(policy, {}), directory, None)
    code = source.of_class(cls)
    git = capture.git(directory) if policy == "git" else None
    return Coded(name, identity.code_component(policy, code.modules, git), directory, code)


def _directory(cls: type[PipeTask]) -> Path:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).parent if file else Path()


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
