"""The decision for tasks whose inputs are known: what the context holds is looked up, and :mod:`reuse` decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from disdat.catalog.queries import Filter, Row
from disdat.core.bundle import Bundle, Dependency, TaskKey
from disdat.core.digest import Digest
from disdat.errors import Corrupt, NotFound
from disdat.ops import lineage as made_from
from disdat.pipeline import identity, observed, params, reuse
from disdat.pipeline.coded import Coded
from disdat.pipeline.observed import Now, Observation
from disdat.pipeline.reasons import Reason
from disdat.pipeline.reuse import Prior, Reuse, Run, Wanted
from disdat.pipeline.session import Session, Sought
from disdat.pipeline.task import PipeTask

Earlier = Callable[["Work"], Sequence[Row]]
"""Gives the earlier results of a task, whatever their keys, newest first."""
Hits = Mapping[Digest, Sequence[Row]]
"""The earlier results of the very same keys, newest first."""
NONE_FOUND: Hits = {}


@dataclass(frozen=True, slots=True)
class Work:
    """A task that may have to run, with all that this takes."""

    session: Session
    task: PipeTask
    name: str
    processing_name: str
    code: Coded
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The uuid of each input, by argument."""
    yielded: Mapping[str, str] = field(default_factory=dict)
    """The uuid of what there is of tasks it yielded, or may yield, by :func:`~disdat.pipeline.observed.key_of`."""
    absent: Mapping[str, Reason] = field(default_factory=dict)
    """Why there is nothing of tasks that it may yield, likewise."""
    lost: Sequence[str] = ()
    """The uuids of earlier results whose bytes could not be had when they were to be read."""
    forced: str = ""
    uuid: str | None = None
    """What the bundle's uuid is to be, if it is made."""
    reasons: tuple[Reason, ...] = ()
    """Why it is to run, where that was found out already; only a new result can change it."""
    has_earlier: bool = True
    """False where nothing of its names was made earlier, as far as was found out already."""
    root: Mapping[str, str] | None = None
    """For the last task of the run the tags only its output gets; None for any other."""


@dataclass(frozen=True, slots=True)
class Known:
    """A task whose inputs are known, and with them its key."""

    work: Work
    inputs: Mapping[str, Dependency]
    key: TaskKey

    def has(self, uuids: Mapping[str, str]) -> bool:
        """Whether these are its inputs, by argument."""
        return {argument: each.uuid for argument, each in self.inputs.items()} == uuids


@dataclass(frozen=True, slots=True)
class Ask:
    """There is an earlier result, if what its task yielded is there as it was: that has to be found out first."""

    tasks: Sequence[Observation]


def identify(work: Work, uuids: Mapping[str, str]) -> Known:
    """The key *work* has with these inputs, by argument; reads their manifests."""
    inputs = work.session.given(uuids)
    key = identity.task_key(
        cls=work.code.name,
        params=params.identifying(work.task),
        code=work.code.component,
        inputs={argument: work.session.exact(each) for argument, each in inputs.items()},
        salt=work.task.salt,
    )
    return Known(work, inputs, key)


def hits(known: Sequence[Known]) -> Hits:
    """What there is of the keys of tasks of one run; under ``version`` such results do not count."""
    if not known or known[0].work.session.rerun == "version":
        return {}
    found = known[0].work.session.context.catalog.search_each([Filter(task_key=each.key.digest) for each in known])
    return {each.key.digest: rows for each, rows in zip(known, found, strict=True)}


def settle(known: Sequence[Known], earlier: Earlier, found: Hits = NONE_FOUND) -> list[Reuse | Run | Ask]:
    """
    Decide for tasks of one run by what the context holds; what of their keys is not among those *found* is looked up.

    What *earlier* gives, only to say why a task runs, may be outdated.

    Raises:
        Unavailable: The bytes of a hit are not here, and the remote does not say whether it has them.
    """
    if not known:
        return []
    found = {**found, **hits([each for each in known if each.key.digest not in found])}
    cases = [_Case(each, _priors(each, found.get(each.key.digest, ()), earlier)) for each in known]
    doubtful = cases
    while doubtful := [case for case in doubtful if isinstance(case.decide(), Reuse)]:
        doubtful = _doubt(doubtful, known[0].work.session)
    return [case.decision for case in cases]


def look_back(work: Work) -> list[Row]:
    """:data:`Earlier` results as they are now."""
    [rows] = work.session.earlier([sought(work)])
    return rows


def sought(work: Work) -> Sought:
    """By what the earlier results of *work* are found."""
    return Sought(work.processing_name, work.name, params.identifying(work.task))


class _Case:
    """A task to be decided, and the earlier results that are left for it."""

    def __init__(self, known: Known, priors: Sequence[Prior]) -> None:
        self.known = known
        self.decision: Reuse | Run | Ask = Ask(())
        self._priors = list(priors)

    def decide(self) -> Reuse | Run | Ask:
        work = self.known.work
        wanted = Wanted(work.name, self.known.key, self.known.inputs, work.forced)
        self.decision = reuse.decide(self._priors, wanted, rerun=work.session.rerun)
        return self.decision

    def fault(self, uuid: str, reason: Reason) -> None:
        """The result *uuid* cannot be used."""
        self._priors = [replace(each, faults=(reason,)) if each.uuid == uuid else each for each in self._priors]


def _doubt(cases: Sequence[_Case], session: Session) -> list[_Case]:
    """Look whether the results that were chosen can be used; the cases that are to be decided again."""
    chosen = [(case, case.decision.uuid) for case in cases if isinstance(case.decision, Reuse)]
    bundles = session.manifests([uuid for _, uuid in chosen])
    lacking = session.lacking(bundles.values())
    again: list[_Case] = []
    for case, uuid in chosen:
        bundle, work = bundles.get(uuid), case.known.work
        if bundle is None or uuid in lacking or uuid in work.lost:
            case.fault(uuid, Reason("bytes gone", "bytes gone: those of the earlier result are not to be had", uuid))
            again.append(case)
        elif bundle.lineage.observed and (other := _otherwise(case.known, bundle)) is not None:
            if isinstance(other, Ask):
                case.decision = other
            else:
                case.fault(uuid, other)
                again.append(case)
    return again


def _otherwise(known: Known, bundle: Bundle) -> Reason | Ask | None:
    """The first thing that would be observed otherwise now; or the tasks that decide about that."""
    now = Now(known.work.session, known.inputs, known.work.yielded, known.work.absent)
    reason = next(observed.differences(bundle, now), None)
    if reason is not None:
        return reason
    unknown = observed.unknown(bundle, now)
    return Ask(unknown) if unknown else None


def _priors(known: Known, same: Sequence[Row], earlier: Earlier) -> list[Prior]:
    """The results of the same key; where there are none, other earlier ones."""
    found = [Prior(row.uuid, row.name, known.key, {}, row.tainted) for row in same]
    return found or list(_others(known, earlier))


def _others(known: Known, earlier: Earlier) -> Iterator[Prior]:
    """Earlier results of other keys, newest first: what may be a hit under ``version``, or else one to compare with."""
    work, session = known.work, known.work.session
    if work.forced or (session.rerun == "content" and (work.reasons or not work.has_earlier)):
        return
    # Under `version` they decide: what was looked up before may be outdated.
    rows = earlier(work) if session.rerun == "content" else _newest(work)
    for row in _worth_reading(rows, work.name):
        prior = _prior(session, row)
        # One of the very same key would have been among the hits: under ``content`` it was removed meanwhile.
        if prior and (session.rerun == "version" or prior.key is None or prior.key.digest != known.key.digest):
            yield prior


def _newest(work: Work) -> Sequence[Row]:
    return work.session.context.catalog.by_processing_name(work.processing_name) or look_back(work)


def _worth_reading(rows: Sequence[Row], name: str) -> Sequence[Row]:
    """The newest rows down to the first of the wanted name: nothing older can change the decision."""
    for count, row in enumerate(rows, 1):
        if row.name == name:
            return rows[:count]
    return rows


def _prior(session: Session, row: Row) -> Prior | None:
    """An earlier result; None if it was removed meanwhile, or cannot be read."""
    try:
        lineage = session.bundle(row.uuid).lineage
    except (NotFound, Corrupt):
        return None
    yielded = made_from.yielded(lineage)
    inputs = {each.argument: each for each in lineage.inputs if each.argument not in yielded}
    return Prior(row.uuid, row.name, lineage.task, inputs, row.tainted)
