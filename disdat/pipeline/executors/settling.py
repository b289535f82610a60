"""What is to be known of a call before it goes where nobody knows what there is: here, where it was planned."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from disdat.pipeline import sharing
from disdat.pipeline.call import Call, failed, work_of
from disdat.pipeline.deciding import identify, look_back, settle
from disdat.pipeline.outcome import Done
from disdat.pipeline.projects import file_of
from disdat.pipeline.reuse import Reuse, Run
from disdat.pipeline.work import reused


def settled(call: Call) -> Done | Call:
    """Its end, where what it would make is here already or it cannot be made; else the call, with why it runs."""
    try:
        return _settled(call)
    except Exception as exc:  # noqa: BLE001 - the user's module, or his parameters: he is told
        return Done(call.id, failed(exc))


def _settled(call: Call) -> Done | Call:
    work = work_of(call)
    work.session.refresh(work.inputs)
    work.session.look_again()
    known = identify(work, work.inputs)
    [decision] = settle([known], look_back)
    if isinstance(decision, Reuse):
        if work.session.sharing.push:
            sharing.publish(work.session.context, [decision.uuid])
        return Done(call.id, reused(known, decision))
    if isinstance(decision, Run) and not call.reasons:
        return replace(call, reasons=[each.to_json() for each in decision.reasons])
    return call


def code(call: Call) -> tuple[Mapping[str, str], frozenset[Path]]:
    """
    The modules that the class of a call reaches, as far as they are the project's, and its own; with their files.

    And the files beside them that count.
    """
    try:
        source = work_of(call).code.source
    except Exception:  # noqa: BLE001 - the user's module: who runs the call tells him
        return {}, frozenset()
    own = file_of(sys.modules[call.task.module])
    found = {} if own is None else {call.task.module: own}
    if source is None:
        return found, frozenset()
    return {**found, **{part.module: part.path for part in source.parts}}, source.beside
