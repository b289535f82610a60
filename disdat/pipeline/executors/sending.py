"""What goes to workers with a call, and what comes back with its end."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from pathlib import Path

from distributed import Future

import disdat
from disdat.errors import DisdatError, NotConfigured, ObjectNotFound
from disdat.ops import staging
from disdat.ops.staging import Lead
from disdat.pipeline.call import Call, session_of
from disdat.pipeline.executors import settling, shipping, worker
from disdat.pipeline.executors.link import Link
from disdat.pipeline.executors.parcel import Parcel
from disdat.pipeline.executors.shipping import Archive
from disdat.pipeline.outcome import Done, Failed, Lacking
from disdat.pipeline.work import gone

_TOLD = 256
"""Of so many sets of inputs it is kept what workers are told of them."""


class Sender:
    """What goes to workers with a call, and what comes back with its end. The first call says for which run."""

    def __init__(self, first: Call, scheduler: str | None, workers: int) -> None:
        session = session_of(first.session)
        self._context = session.context
        self._run = session.run
        self._id = uuids.uuid4().hex
        self._setting = worker.setting()
        self._code = _Code()
        self._lead: Lead | None = None
        self._told: dict[tuple[str, ...], bytes] = {}
        self.link = Link(self._id, scheduler, workers)

    def provide(self, call: Call, lacked: Sequence[str]) -> None:
        """
        Have what all calls like this one take; a worker *lacked* something before.

        Raises:
            NotConfigured: It shares nothing with this home, and the context has no remote.
            InvalidInput: There is too much code to send.
        """
        if not self.link.is_here:
            self._code.add(call)
        if "inputs" in lacked and self._lead is None:
            self._lead = self._led()

    def send(self, call: Call, lacked: Sequence[str], worker: str | None) -> Future | Done:
        """Have a call run, by the *worker* that lacked something before; or its end, where that is known without."""
        inputs = None
        if self._lead is not None:
            # A worker elsewhere does not know what there is to be reused.
            found = settling.settled(call)
            if isinstance(found, Done):
                return found
            try:
                call, inputs = found, self._of_inputs(self._lead, found)
            except ObjectNotFound as exc:
                return Done(call.id, _lacking(self._lead, found, exc))
        archive = self._code.archive
        parcel = Parcel(
            version=disdat.__version__,
            executor=self._id,
            topic=self.link.topic,
            call=call,
            setting=self._setting,
            home_id=self._context.home.id,
            is_here=self.link.is_here,
            binding=self._context.binding,
            code=archive.name if archive else "",
            archive=archive.data if archive and "code" in lacked else None,
            inputs=inputs,
        )
        return self.link.send(parcel, worker)

    def have(self, made: Sequence[tuple[Done, bytes | None]]) -> list[Done]:
        """The ends of calls, once what they made elsewhere is here."""
        told = [staging.decode(data).said for _, data in made if data is not None]
        if not told:
            return [done for done, _ in made]
        assert self._lead is not None
        try:
            self._lead.take(told)
        except DisdatError as exc:
            return [done if data is None else Done(done.call_id, Failed(str(exc), "")) for done, data in made]
        return [done for done, _ in made]

    def renew(self) -> None:
        if self._lead is not None:
            self._lead.renew()

    def close(self) -> None:
        try:
            self.link.close()
        finally:
            if self._lead is not None:
                self._lead.__exit__(None, None, None)

    def _led(self) -> Lead:
        if self._context.binding is None:
            raise NotConfigured(
                f"the workers at {self.link.address} share nothing with this home, and the context "
                f"{self._context.name} has no remote",
                hint="`dsdt remote` binds it to one, through which they get their inputs",
            )
        return Lead(self._context, self._run).__enter__()

    def _of_inputs(self, lead: Lead, call: Call) -> bytes:
        uuids = _read_by(call)
        if uuids not in self._told:
            if len(self._told) >= _TOLD:
                del self._told[next(iter(self._told))]
            self._told[uuids] = staging.encode(self._context, lead.tell(uuids))
        return self._told[uuids]


def _read_by(call: Call) -> tuple[str, ...]:
    return tuple(sorted({*call.inputs.values(), *call.yielded.values()}))


def _lacking(lead: Lead, call: Call, found: ObjectNotFound) -> Lacking | Failed:
    """What a call ends with before it is sent, as the bytes of what it reads are nowhere."""
    uuids = gone(_read_by(call), lead.tell)
    return Lacking(tuple(uuids), str(found)) if uuids else Failed(str(found), "")


class _Code:
    """The code of all tasks that were met, as one archive."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._roots: frozenset[str] = frozenset()
        self._beside: frozenset[Path] = frozenset()
        self.archive: Archive | None = None
        """None where all code is installed."""

    def add(self, call: Call) -> None:
        """Have the code of a call, too; raises InvalidInput where that is too much."""
        name = (call.task.module, call.task.qualname)
        if name not in self._known:
            modules, files = settling.code(call)
            roots, beside = shipping.roots(modules) | self._roots, files | self._beside
            if (roots, beside) != (self._roots, self._beside):
                self.archive = shipping.pack(roots, beside)
                self._roots, self._beside = roots, beside
            self._known.add(name)
