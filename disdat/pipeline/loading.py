"""Task classes by name: ``module.Class``, from the path and the current directory."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from types import ModuleType

from disdat.core import similar
from disdat.durable import storage_errors
from disdat.errors import InvalidInput, NotFound
from disdat.pipeline import params, source
from disdat.pipeline.task import PipeTask, attribute


def load_class(name: str) -> type[PipeTask]:
    """
    The task class *name* (``module.Class``); the current directory is looked in first.

    Raises:
        NotFound: There is no such module, or no such class in it.
        InvalidInput: *name* has no module, the module cannot be imported, or the class is no PipeTask.
    """
    module_name, _, class_name = name.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in name.split(".")):
        raise InvalidInput(f"{name!r} does not name a class", hint="write MODULE.CLASS, such as pipelines.mnist.Train")
    module = _import(module_name, name)
    found = getattr(module, class_name, None)
    if found is None:
        raise NotFound(f"no class {class_name} in the module {module_name}", hint=_tasks_hint(module, class_name))
    if not isinstance(found, type) or not issubclass(found, PipeTask):
        raise InvalidInput(f"{name} is not a PipeTask", hint=_tasks_hint(module, class_name))
    return found


def _import(module_name: str, name: str) -> ModuleType:
    # It stays on the path: the module may import its neighbours when it runs, and worker processes start from here.
    if (here := _current_directory()) not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{module_name}.".startswith(f"{exc.name}."):
            raise NotFound(f"no module {exc.name}, needed for {name}", hint=_module_hint(here, exc.name)) from exc
        raise _broken(module_name, exc, hint=_install_hint(exc.name)) from exc
    except InvalidInput as exc:  # of ours, about a class in it
        raise InvalidInput(f"cannot import {module_name}: {exc}", hint=exc.hint) from exc
    except (Exception, SystemExit) as exc:  # whatever the user's module raises, he is told
        raise _broken(module_name, exc) from exc


def _current_directory() -> str:
    with storage_errors("find the current directory"):
        return os.getcwd()


def _broken(module_name: str, exc: BaseException, *, hint: str = "correct the module and try again") -> InvalidInput:
    last = traceback.format_exception_only(exc)[-1].strip()
    return InvalidInput(f"cannot import {module_name}: {last}{_place(exc)}", hint=hint)


def _place(exc: BaseException) -> str:
    """The file and line of the user's where it went wrong: of a syntax error its own, not those of the import."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return f" ({exc.filename}, line {exc.lineno})"
    own = [frame for frame in traceback.extract_tb(exc.__traceback__) if not _is_machinery(frame.filename)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _install_hint(missing: str | None) -> str:
    package = (missing or "").partition(".")[0]
    if not package or package in sys.modules:  # it is there: the name within it is wrong
        return "correct the module and try again"
    return f"`pip install {package}`, or whichever package has the module {package}; correct the name if it is yours"


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or "importlib" in filename


def _module_hint(here: str, missing: str) -> str:
    return f"run this in the directory that holds {missing.replace('.', '/')}, or install it; this is {here}"


def _tasks_hint(module: ModuleType, wanted: str) -> str:
    if module.__name__ == "__main__":
        return f"__main__ is what runs now: move {wanted} into a module, and name that"
    names = [name for name, found in vars(module).items() if _is_own_task(found, module)]
    if close := similar.closest(wanted, names):
        return f"did you mean {module.__name__}.{close}?"
    return f"its tasks are {', '.join(sorted(names))}" if names else f"{module.__name__} has no tasks"


def _is_own_task(found: object, module: ModuleType) -> bool:
    return isinstance(found, type) and issubclass(found, PipeTask) and found.__module__ == module.__name__


def task_of(name: str, texts: Mapping[str, str], left_out: Collection[str] = ()) -> PipeTask:
    """
    The task of the class *name*, wherever that was defined, that its significant parameters identify as these *texts*.

    Raises:
        InvalidInput: There is no such class any more, or its parameters are not known: of those that are not public
            there are digests only. Or those that were *left_out* have other defaults now, maybe from ``luigi.cfg``.
    """
    cls = _known_class(name)
    values = params.read(cls, texts)
    task = cls(**{each: value for each, value in values.items() if each not in left_out})
    found = params.identifying(task)
    if others := [each for each in left_out if found[each] != texts[each]]:
        raise InvalidInput(f"{others[0]} is {found[others[0]]} by default now")
    if found != texts:
        raise InvalidInput(f"the parameters of {name} are not known")
    return task


def _known_class(name: str) -> type[PipeTask]:
    found = _loaded(name) or next((each for each in _classes(PipeTask) if source.class_name(each) == name), None)
    if found is None:
        _load(name)
        found = _loaded(name)
    if not isinstance(found, type) or not issubclass(found, PipeTask):
        raise InvalidInput(f"there is no task class {name} any more")
    return found


def _loaded(name: str) -> object:
    """What a dotted name leads to in the modules that are loaded; None where that is nothing."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:count]))
        if module is not None:
            return attribute(module, ".".join(parts[count:]))
    return None


def _classes(cls: type[PipeTask]) -> Iterator[type[PipeTask]]:
    """All classes derived from one, those defined last first."""
    for each in reversed(cls.__subclasses__()):
        yield each
        yield from _classes(each)


def _load(name: str) -> None:
    try:
        importlib.import_module(name.rpartition(".")[0])
    except Exception as exc:  # whatever the user's module raises, the task is not there
        raise InvalidInput(f"{name} cannot be imported: {exc}") from exc
