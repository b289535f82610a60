"""Pipelines from Python: running them, what that would do, why it did what it did, and what came of what."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from disdat import ops
from disdat.api import selection
from disdat.api.bundle import Bundle, stored
from disdat.api.selection import ContextLike
from disdat.errors import InvalidInput

if TYPE_CHECKING:  # they bring in luigi, which importing the API must not
    from disdat.config import Rerun
    from disdat.context import Context
    from disdat.pipeline.asking import Answer
    from disdat.pipeline.preview import Preview
    from disdat.pipeline.task import PipeTask

Picture = Literal["tree", "dot", "mermaid", "html"]


def apply(
    local_context: ContextLike,
    transform: type[PipeTask] | str,
    output_bundle: str = "-",
    input_tags: Mapping[str, str] | None = None,
    output_tags: Mapping[str, str] | None = None,
    force: bool = False,
    force_all: bool = False,
    params: Mapping[str, Any] | None = None,  # whatever the task's Luigi parameters hold
    output_bundle_uuid: str | None = None,
    central_scheduler: bool = False,
    workers: int = 1,
    incremental_push: bool = False,
    incremental_pull: bool = False,
    *,
    executor: str | None = None,
    scheduler: str | None = None,
    rerun: Rerun | None = None,
    timeout: float | None = None,
    recompute: bool = False,
) -> dict[str, bool]:
    """
    Run a pipeline: the task *transform* and all it depends on, of which what is up to date is reused.

    *output_bundle* names the last task's bundle, ``-`` leaves that to the task. *force* runs the last task
    whatever there is, *force_all* every task. With *incremental_push* each result is committed and pushed as soon as
    it is made, with *incremental_pull* the bytes of inputs are localized before they are read. *executor* is where
    tasks run: ``inline``, this process, ``pool``, processes of this machine, or ``dask``, a cluster: that of the
    *scheduler* at ``tcp://host:port``, or one of this process; None takes what *workers* need. *rerun* is ``content``
    or ``version``, by default as the settings say. A task that takes longer than *timeout* seconds is ended, and fails.
    With *recompute*, results that are on a remote only that does not answer are made anew.

    Returns ``{"success": True, "did_work": …}``.

    Raises:
        ApplyError: A task failed; its ``result`` is what would have been returned.
        Unavailable: The bytes of earlier results are on the remote only, which does not answer, and not *recompute*.
        NotConfigured: *incremental_push* or *incremental_pull*, and the context has no remote.
        InvalidInput: The task, its parameters or an option cannot be used; nothing was changed.
    """
    if input_tags:
        warnings.warn("input_tags changes nothing, and never did", DeprecationWarning, stacklevel=2)
    from disdat.pipeline import run  # it brings in luigi, which importing the API must not

    return run.apply(
        selection.context(local_context),
        transform,
        dict(params or {}),
        output_bundle=output_bundle,
        output_tags=dict(output_tags or {}),
        force=force,
        force_all=force_all,
        output_bundle_uuid=output_bundle_uuid,
        central_scheduler=central_scheduler,
        workers=workers,
        incremental_push=incremental_push,
        incremental_pull=incremental_pull,
        executor=executor,
        scheduler=scheduler,
        rerun=rerun,
        timeout=timeout,
        recompute=recompute,
    )


def plan(
    local_context: ContextLike,
    transform: type[PipeTask] | str,
    params: Mapping[str, Any] | None = None,  # whatever the task's Luigi parameters hold
    *,
    output_bundle: str = "-",
    force: bool = False,
    force_all: bool = False,
    rerun: Rerun | None = None,
    recompute: bool = False,
) -> Preview:
    """
    What :func:`apply` would do with these arguments; nothing runs, and nothing is changed.

    ``tasks`` has every task, inputs before those who read them: ``task`` and its ``cls``, the ``decision`` (``reuse``,
    ``run``, ``unknown`` where that depends on what its inputs come out as, ``missing`` of an external input), ``why``,
    ``reasons`` one by one, ``seconds`` when it last ran, ``fetch_bytes`` to come from the remote, and the places of its
    ``inputs`` and of what it ``yields``: where it runs, what it yielded last time, which is ``as_last_time`` then.

    Raises:
        ApplyError: A ``pipe_requires`` raised.
        Unavailable: The bytes of earlier results are on the remote only, which does not answer, and not *recompute*.
        InvalidInput: The task, its parameters or an option cannot be used.
    """
    from disdat.pipeline.preview import preview  # it brings in luigi, which importing the API must not

    return preview(
        selection.context(local_context),
        transform,
        dict(params or {}),
        output_bundle=output_bundle,
        force=force,
        force_all=force_all,
        rerun=rerun,
        recompute=recompute,
    )


def why(
    local_context: ContextLike,
    what: str | type[PipeTask],
    params: Mapping[str, Any] | None = None,  # whatever the task's Luigi parameters hold
) -> Answer:
    """
    Why a bundle was made, and used again since; or why a task ran, or did not, when a run last decided about it.

    *what* is a reference to a bundle, or a task's class: then *params* are the task's, and without them the class's
    last task is meant. ``last`` is what was decided last, ``made``, where that was to use a result again, what was
    decided when it was made: each with its ``decision``, ``why``, ``reasons`` one by one, ``run`` and ``because``,
    the decisions that it follows from. ``components`` is what the result's key was made of.

    Raises:
        NotFound: There is no such bundle, or no run decided about it.
    """
    from disdat.pipeline import asking  # it brings in luigi, which importing the API must not

    return asking.ask(selection.context(local_context), what, params)


@overload
def lineage(
    local_context: ContextLike,
    uuid: str,
    max_depth: int | None = None,
    *,
    as_of: str | datetime | None = None,
    down: bool = False,
    format: None = None,
) -> list[tuple[int, str, Bundle | None]]: ...
@overload
def lineage(
    local_context: ContextLike,
    uuid: str,
    max_depth: int | None = None,
    *,
    as_of: str | datetime | None = None,
    down: bool = False,
    format: Picture,
) -> str: ...
def lineage(
    local_context: ContextLike,
    uuid: str,
    max_depth: int | None = None,
    *,
    as_of: str | datetime | None = None,
    down: bool = False,
    format: Picture | None = None,  # noqa: A002 - what people look for
) -> list[tuple[int, str, Bundle | None]] | str:
    """
    What a bundle was made from: (depth, uuid, bundle) of itself and of every ancestor, breadth first, each once.

    With *down*, what was made from it. The bundle is None where it is not in this context; the list is empty if *uuid*
    itself is not. *as_of* is as for :func:`search`. With a *format* the same as a text: a ``tree``, a graph for
    Graphviz (``dot``) or for ``mermaid``, or a page (``html``) that needs neither a server nor a network.

    Raises:
        BundleNotFound: There is no such bundle, and a *format* is wanted.
        InvalidInput: There is no such *format*.
    """
    here = selection.context_as_of(local_context, as_of)
    if format is not None:
        return _drawn(here, uuid, max_depth, down=down, shape=format)
    walk = ops.lineage.descendants if down else ops.lineage.lineage
    found = walk(here, uuid, max_depth=max_depth)
    if found[0].row is None:
        return []
    return [(each.step.depth, each.step.uuid, None if each.row is None else stored(here, each.row)) for each in found]


def _drawn(here: Context, uuid: str, max_depth: int | None, *, down: bool, shape: str) -> str:
    from disdat.ops import drawing  # only pictures need it

    shapes = {"tree": drawing.tree, "dot": drawing.dot, "mermaid": drawing.mermaid}
    if shape not in {*shapes, "html"}:
        known = ", ".join([*shapes, "html"])
        raise InvalidInput(f"there is no format {shape!r}", hint=f"there are {known}")
    walk = ops.lineage.downstream if down else ops.lineage.upstream
    graph = walk(here, ops.find.need(here, uuid=uuid).uuid, max_depth=max_depth)
    if shape == "html":
        return drawing.html(graph, ops.lineage.why(here, graph))
    return "".join(f"{line}\n" for line in shapes[shape](graph))
