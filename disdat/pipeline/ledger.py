"""What became of each task of a run: kept with the plan, and told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from disdat.core.printable import brief
from disdat.ops.carrying import Way
from disdat.pipeline import params
from disdat.pipeline.events import Events, Stream, Subject
from disdat.pipeline.graph import Node, Plan
from disdat.pipeline.outcome import Outcome
from disdat.pipeline.task import Made, state_of

logger = logging.getLogger("disdat.pipeline")


class Ledger:
    """Gives each node of a plan a number, and its outcome when that is known."""

    def __init__(self, planned: Plan, events: Events) -> None:
        self.plan = planned
        self._events = events
        self._subjects: dict[Node, Subject] = {}
        self._begun: set[Node] = set()

    def add(self, nodes: Sequence[Node]) -> None:
        """Take in nodes of the plan, inputs before those who read them."""
        for node in nodes:
            self._subjects[node] = Subject(str(len(self._subjects)), params.describe(node.task))
            self._has_output(node)
        self._events.planned([(self._subjects[node], node.outcome) for node in nodes])

    def id(self, node: Node) -> str:
        """The number of a node."""
        return self._subjects[node].id

    def open(self, nodes: Iterable[Node]) -> list[Node]:
        """Those that are not there yet, or never will be."""
        return [node for node in nodes if node.outcome is None or node.outcome.bundle is None]

    def began(self, node: Node) -> None:
        """A task runs from now on."""
        self._begun.add(node)
        logger.info("%s begins", self._subjects[node].name)
        self._events.began(self._subjects[node])

    def wrote(self, node: Node, stream: Stream, text: str) -> None:
        """A task that runs elsewhere wrote something."""
        self._events.wrote(self._subjects[node], stream, text)

    def moved(self, node: Node, way: Way, done_bytes: int, total_bytes: int) -> None:
        """So much came from the remote for a task, or went there."""
        if done_bytes == total_bytes:
            logger.info("%s: %s bytes %s", self._subjects[node].name, f"{total_bytes:,}", way)
        self._events.moved(self._subjects[node], way, done_bytes, total_bytes)

    def suspended(self, node: Node, waits: Iterable[Node]) -> None:
        """A task waits for those it yielded, or whose output it cannot read."""
        self._events.suspended(self._subjects[node], [self._subjects[each] for each in waits])

    def retried(self, node: Node, why: str, trace: str) -> None:
        """A task failed, and is tried again."""
        logger.error("%s failed\n%s", brief(self._subjects[node].name), trace or why)
        self._events.retried(self._subjects[node], why)

    def failed(self, node: Node, why: str, trace: str, hint: str) -> None:
        """A task failed; the user's own traceback is what he sees first."""
        logger.error("%s failed\n%s", brief(self._subjects[node].name), trace or why)
        self.ended(node, Outcome("failed", why, hint=hint))

    def ended(self, node: Node, outcome: Outcome) -> None:
        """It is known what became of a task."""
        node.outcome = outcome
        self._has_output(node)
        logger.info("%s: %s", self._subjects[node].name, outcome.decision)
        self._events.ended(self._subjects[node], outcome)

    def close(self) -> None:
        """Nothing runs any more: what is not known yet did not run."""
        for node in self.plan.nodes:
            if node.outcome is None:
                self.ended(node, self._not_run(node))

    def abandon(self, why: str) -> None:
        """The run ended before its time: what began and did not end was interrupted, the rest did not run."""
        for node in self.plan.nodes:
            if node.outcome is not None:
                continue
            if node in self._begun:
                self.ended(node, Outcome("interrupted", why))
            else:  # of these there may be thousands: they are kept, and not told one by one
                node.outcome = Outcome("not run", why)

    def _not_run(self, node: Node) -> Outcome:
        if node.task.disabled:
            return Outcome("not run", "it is disabled")
        read = [*node.upstream.values(), *node.yielded.values()]
        faults = {brief(self._subjects[each].name): each.outcome for each in self.open(read)}
        return Outcome("not run", "; ".join(f"{name} {_became(outcome)}" for name, outcome in faults.items()))

    def _has_output(self, node: Node) -> None:
        """Give a task whose work was done elsewhere its output."""
        outcome = node.outcome
        if outcome is not None and outcome.bundle is not None and state_of(node.task).made is None:
            context = node.work.session.context
            state_of(node.task).made = Made(context, outcome.bundle, is_new=outcome.decision == "made")


def _became(outcome: Outcome | None) -> str:
    return "failed" if outcome is not None and outcome.decision == "failed" else "did not run"
