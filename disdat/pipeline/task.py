"""
:class:`PipeTask`, the class users derive their tasks from.

A task says in ``pipe_requires`` what it reads and what its output is called, and does its work in ``pipe_run``.
What it returns becomes a bundle; nothing is named by hand.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import luigi
from luigi.task_register import Register

from disdat.context import Context
from disdat.core import naming
from disdat.core.bundle import Dependency
from disdat.core.reserved import PUSH_META, TRANSIENT
from disdat.errors import InvalidInput
from disdat.ops import given, handles, watching
from disdat.ops.bundles import BundleWriter
from disdat.ops.handles import BundleHandle
from disdat.pipeline import authoring, params, source
from disdat.pipeline.observed import Observer, left_out
from disdat.pipeline.outcome import Named
from disdat.pipeline.session import External, Session

Names: TypeAlias = "str | Sequence[Names] | Mapping[str, Names]"
Targets: TypeAlias = "luigi.LocalTarget | list[Targets] | dict[str, Targets]"
Urls: TypeAlias = "str | list[Urls] | dict[str, Urls]"
Identity: TypeAlias = "tuple[type[PipeTask], tuple[tuple[str, str], ...]]"


class Uncached(Register):
    """
    Luigi's metaclass without its cache of instances.

    A task holds what one apply found out about it, so that the next apply, or one inside it, needs another object.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # a task of the class, whatever its parameters are
        return ABCMeta.__call__(self, *args, **kwargs)


@dataclass(slots=True)
class Declared:
    """What ``pipe_requires`` said."""

    inputs: dict[str, PipeTask | External] = field(default_factory=dict)
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    forced: bool = False


@dataclass(slots=True)
class Running:
    """What ``pipe_run`` works with."""

    writer: BundleWriter
    inputs: Mapping[str, Dependency]
    tags: dict[str, str]
    observer: Observer
    """Notes what it looks at beside its inputs."""
    yielded: dict[str, Dependency] = field(default_factory=dict)
    """What there is of the tasks it yielded, by their ids."""
    noted: set[str] = field(default_factory=set)
    """What tells those tasks from others."""
    places: set[str] = field(default_factory=set)
    """Where its output files are to be."""


@dataclass(slots=True)
class Made:
    """The bundle that is a task's output."""

    context: Context
    uuid: str
    is_new: bool


@dataclass(slots=True)
class State:
    """What one apply knows of a task."""

    session: Session | None = None
    declared: Declared | None = None
    declaring: Declared | None = None
    running: Running | None = None
    made: Made | None = None
    name: str = ""
    processing_name: str = ""
    left_out: tuple[str, ...] = ()
    """Of a task that is yielded, the significant parameters that were left to their defaults."""
    identity: Identity | None = None
    """What equal tasks have in common, once somebody asked."""


class PipeTask(luigi.Task, metaclass=Uncached):
    """
    A task whose output is a bundle. Derive from it, give it Luigi parameters, and write the two ``pipe_`` methods.

    :attr:`code_version` says what counts as a change of its code, over the setting of that name: ``closure``,
    ``git``, ``manual:<version>`` or ``none``. Another :attr:`salt` makes all its earlier results count for nothing.
    """

    code_version: ClassVar[str] = ""
    salt: ClassVar[str] = ""
    _own_params: ClassVar[list[tuple[str, luigi.Parameter[Any]]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:  # whatever a class further down may take
        super().__init_subclass__(**kwargs)
        authoring.check_class(cls, taken=vars(PipeTask))
        source.note_loaded(cls.__module__)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # the values of its parameters
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # luigi does not annotate its own
        self._state = State()

    def __reduce__(self) -> tuple[Callable[..., PipeTask], tuple[type[PipeTask], dict[str, object]]]:
        return _rebuild, (type(self), self.param_kwargs)

    @classmethod
    def get_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """Luigi's list of the parameters, searched for once per class."""
        if "_own_params" not in vars(cls):
            cls._own_params = super().get_params()  # type: ignore[no-untyped-call]  # luigi does not annotate it
        return cls._own_params

    @classmethod
    def get_param_values(
        cls, own: Sequence[tuple[str, luigi.Parameter[Any]]], args: Sequence[Any], given: Mapping[str, Any]
    ) -> list[tuple[str, Any]]:
        """Luigi's values of the parameters, but each as it reads back from text."""
        parameters = dict(own)
        values = super().get_param_values(own, args, given)  # type: ignore[no-untyped-call]  # as above
        return [(name, params.settled(parameters[name], value)) for name, value in values]

    def _warn_on_wrong_param_types(self) -> None:
        """Luigi only warns; whoever gives a parameter here has it checked."""

    # What a user writes

    def pipe_requires(self) -> object:
        """Say what the task reads, with :meth:`add_dependency`; called once in an apply, before anything runs."""
        return None

    def pipe_run(self, *args: Any, **inputs: Any) -> object:  # so that type checkers take any arguments below
        """Do the work: each input's value comes under its argument's name, and what is returned becomes the bundle."""
        raise NotImplementedError(f"{type(self).__name__} has no pipe_run")

    # To be called in pipe_requires

    def add_dependency(self, param_name: str, pipe_class: type[PipeTask], params: Mapping[str, object]) -> None:
        """
        Read the output of another task, as the argument *param_name* of ``pipe_run``.

        Raises:
            InvalidInput: The argument is taken, the class is no PipeTask, or it has no such parameters.
        """
        self._add(param_name, build(pipe_class, params))

    def add_external_dependency(
        self,
        param_name: str,
        pipe_class: type[PipeTask] | None,
        params: Mapping[str, object],
        human_name: str | None = None,
        uuid: str | None = None,
    ) -> BundleHandle | None:
        """
        Read a bundle that is in the context already: by uuid, else the latest by name, else what a task made.

        Returns it, or None where there is none; the apply then fails. It is never made here, and never forced.
        """
        found = self._find_external(pipe_class, params, human_name, uuid)
        self._add(param_name, found)
        return found.bundle

    def set_bundle_name(self, name: str) -> None:
        """Name the output, which is otherwise named after the class."""
        given.check_name("the bundle's name", name)
        self._declaring("set_bundle_name").name = name

    def mark_force(self) -> None:
        """Run in every apply, whatever there is."""
        self._declaring("mark_force").forced = True

    # To be called in pipe_requires or pipe_run

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Put tags on the output, if this apply makes it."""
        given.check_tags(tags)
        self._tags("add_tags").update(tags)

    def mark_transient(self, push_meta: bool = True) -> None:
        """Leave the output out when results are pushed as they are made."""
        self._tags("mark_transient").update({TRANSIENT: "True"} | ({PUSH_META: "True"} if push_meta else {}))

    # To be called in pipe_run

    def yield_dependency(self, pipe_class: type[PipeTask], params: Mapping[str, object]) -> PipeTask:
        """
        Give a task to yield: it is made first, and the yield then gives its data, as does its ``pipe_output``.

        Of a list that is yielded the data come as a list. ``pipe_run`` may start from its top more than once, and what
        it yielded before is then there at once.

        Raises:
            InvalidInput: The class is no PipeTask, or has no such parameters.
        """
        self._running("yield_dependency")
        task = build(pipe_class, params)
        task._state.session = self._state.session
        task._state.left_out = left_out(task, params)
        return task

    def create_output_file(self, name: Names) -> Targets:
        """
        Luigi target(s) to write to: one for a name or a list of one, else a list or dict of them like *name*.

        They become part of the bundle if they, or their paths, are in what ``pipe_run`` returns.

        Raises:
            InvalidInput: A name was given before, or leads out of the bundle.
        """
        if isinstance(name, str):
            path = self._running("create_output_file").writer.file(name)
            self._claim(name, str(path))
            return luigi.LocalTarget(str(path))
        if isinstance(name, Mapping):
            return {key: self.create_output_file(each) for key, each in name.items()}
        targets = [self.create_output_file(each) for each in name]
        return targets[0] if len(targets) == 1 else targets

    def create_output_dir(self, name: str) -> str:
        """Make a directory in the bundle and return its path."""
        return str(self._running("create_output_dir").writer.subdirectory(name))

    def create_remote_output_file(self, name: Names) -> Urls:
        """
        URLs on the remote to write to: one for a name or a list of one, else a list or dict of them like *name*.

        What is written there stays there, and is part of the bundle if the URL is in what ``pipe_run`` returns.

        Raises:
            NotConfigured: The context has no remote.
        """
        if isinstance(name, str):
            url = self._running("create_remote_output_file").writer.remote_url(name)
            self._claim(name, url)
            return url
        if isinstance(name, Mapping):
            return {key: self.create_remote_output_file(each) for key, each in name.items()}
        urls = [self.create_remote_output_file(each) for each in name]
        return urls[0] if len(urls) == 1 else urls

    def create_remote_output_dir(self, name: str) -> str:
        """As :meth:`create_remote_output_file`, of a directory: all that is written below its URL."""
        return self._running("create_remote_output_dir").writer.remote_url(name)

    def get_remote_output_dir(self) -> str:
        """The URL of the bundle's directory on the remote, below which :meth:`create_remote_output_file` gives URLs."""
        return self._running("get_remote_output_dir").writer.remote_directory_url()

    def get_output_dir(self) -> str:
        """The bundle's directory, there from now on."""
        return str(self._running("get_output_dir").writer.directory())

    def get_tags(self, argument: str) -> dict[str, str]:
        """A copy of the tags an input has; where they are others another time, the task runs again."""
        with watching.watched(None):  # it is noted as what it is
            tags = dict(self._input(argument, "get_tags").tags)
        self._running("get_tags").observer.tags(argument, tags)
        return tags

    def get_bundle_uuid(self, argument: str) -> str:
        """The uuid of an input; where it is another bundle another time, the task runs again, whatever is in it."""
        uuid = self._input(argument, "get_bundle_uuid").uuid
        self._running("get_bundle_uuid").observer.uuid(argument, uuid)
        return uuid

    def input_bundles(self) -> dict[str, BundleHandle]:
        """The inputs, by argument; as if the uuid and the tags of each were asked for."""
        found: dict[str, BundleHandle] = {}
        for argument in self._running("input_bundles").inputs:
            self.get_bundle_uuid(argument)
            self.get_tags(argument)
            found[argument] = self._input(argument, "input_bundles")
        return found

    # To be read

    def processing_id(self) -> str:
        """The processing name: what the task and its parameters, and those of all its inputs, call the output."""
        if not self._state.processing_name:
            upstream = {argument: each.processing_id() for argument, each in declared(self).inputs.items()}
            self._state.processing_name = naming.task_processing_name(self.task_id, upstream)
        return self._state.processing_name

    def human_id(self) -> str:
        """The name of the output: as asked for in this apply, else as set, else the class's."""
        return self._state.name or declared(self).name or type(self).__name__

    @property
    def output_bundle(self) -> BundleHandle | None:
        """The bundle that was made or found; None before."""
        made = self._state.made
        return _handle(made.context, made.uuid) if made else None

    @property
    def pipe_output(self) -> object:
        """The value of the output."""
        if (bundle := self.output_bundle) is None:
            raise InvalidInput(f"{params.describe(self)} has no output yet", hint="apply it first")
        return bundle.data

    @property
    def is_new_output(self) -> bool:
        """Whether this apply made the output."""
        return self._state.made is not None and self._state.made.is_new

    def _add(self, argument: str, given: PipeTask | External) -> None:
        declaring = self._declaring("dependencies are declared")
        if not argument.isidentifier():
            raise InvalidInput(f"{argument!r} cannot be an argument of pipe_run", hint="it must be a Python name")
        if argument in declaring.inputs:
            raise InvalidInput(
                f"{type(self).__name__} has two inputs {argument!r}", hint="give one of them another name"
            )
        if isinstance(given, PipeTask):
            given._state.session = self._state.session
        declaring.inputs[argument] = given

    def _find_external(
        self, cls: type[PipeTask] | None, given: Mapping[str, object], name: str | None, uuid: str | None
    ) -> External:
        session = self._state.session
        if session is None:
            raise InvalidInput(
                f"{params.describe(self)} has external inputs, which only an apply can find", hint="apply it"
            )
        if uuid is not None:
            return session.external_by_uuid(uuid)
        if name is not None:
            return session.external_by_name(name)
        if cls is None:
            raise InvalidInput("an external input needs a class, a name or a uuid")
        task = build(cls, given)
        task._state.session = session
        return session.external_by_processing_name(task.processing_id(), params.describe(task))

    def _declaring(self, what: str) -> Declared:
        if self._state.declaring is None:
            raise InvalidInput(f"{type(self).__name__}: {what} in pipe_requires only")
        return self._state.declaring

    def _running(self, what: str) -> Running:
        if self._state.running is None:
            raise InvalidInput(f"{type(self).__name__}: {what} works in pipe_run only")
        return self._state.running

    def _tags(self, what: str) -> dict[str, str]:
        if self._state.declaring is not None:
            return self._state.declaring.tags
        return self._running(what).tags

    def _input(self, argument: str, what: str) -> BundleHandle:
        running = self._running(what)
        if argument not in running.inputs:
            known = ", ".join(running.inputs) or "none"
            raise InvalidInput(f"{type(self).__name__} has no input {argument!r}", hint=f"its inputs: {known}")
        return _handle(running.writer.context, running.inputs[argument].uuid)

    def _claim(self, name: str, place: str) -> None:
        """Refuse a second output file at a place: who writes it would overwrite the first one."""
        places = self._running("an output file").places
        if place in places:
            raise InvalidInput(
                f"pipe_run has two output files of the name {name!r}",
                hint="give one of them another name; where one is meant, keep what gave it the first time",
            )
        places.add(place)


def _handle(context: Context, uuid: str) -> BundleHandle:
    with watching.watched(None):  # the task did not look for it
        return handles.of(context, uuid)


def state_of(task: PipeTask) -> State:
    """What this apply knows of a task."""
    return task._state


def declared(task: PipeTask) -> Declared:
    """What a task's ``pipe_requires`` says; it is called the first time only."""
    state = task._state
    if state.declared is None:
        state.declaring = Declared()
        try:
            returned = task.pipe_requires()
            authoring.check(type(task), state.declaring.inputs, returned)
            state.declared = state.declaring
        finally:
            state.declaring = None
    return state.declared


def build(cls: type[PipeTask], given: Mapping[str, object]) -> PipeTask:
    """
    The task *cls* with these parameters, checked.

    Raises:
        InvalidInput: *cls* is no PipeTask, *given* no mapping, or a parameter is unknown, missing or of a wrong type.
    """
    if not isinstance(cls, type) or not issubclass(cls, PipeTask):
        raise InvalidInput(f"{cls!r} is not a PipeTask class")
    if not isinstance(given, Mapping):
        raise InvalidInput(f"the parameters of {cls.__name__} are a dict, not {given!r}")
    params.check(cls, given)
    return cls(**given)


def named(task: PipeTask) -> Named:
    """A task by its class and all of its parameters."""
    values = task.param_kwargs
    texts = {
        name: None if values[name] is None else parameter.serialize(values[name])
        for name, parameter in task.get_params()
    }
    return Named(type(task).__module__, type(task).__qualname__, texts)


def make(task: Named) -> PipeTask:
    """
    The task that was named.

    Raises:
        InvalidInput: This process cannot import its class.
    """
    found = attribute(sys.modules.get(task.module), task.qualname)
    if found is None:
        found = attribute(import_module(task.module), task.qualname)
    if not isinstance(found, type) or not issubclass(found, PipeTask):
        raise InvalidInput(f"no task class {task.qualname} in {task.module}", hint="move it into a module of its own")
    parameters = dict(found.get_params())
    return found(**{name: None if text is None else parameters[name].parse(text) for name, text in task.params.items()})


def attribute(module: object, qualname: str) -> object:
    """What the dotted *qualname* leads to in *module*; None where that is nothing."""
    found = module
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _rebuild(cls: type[PipeTask], values: dict[str, object]) -> PipeTask:
    return cls(**values)
