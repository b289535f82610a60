"""Task classes by name: ``module.Class``, from the path and the current directory."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from types import ModuleType

from disdat.durable import storage_errors
from disdat.errors import InvalidInput, NotFound
from disdat.pipeline.task import PipeTask


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
    names = [name for name, found in vars(module).items() if _is_own_task(found, module)]
    close = difflib.get_close_matches(wanted, names, n=1)
    if close:
        return f"did you mean {module.__name__}.{close[0]}?"
    return f"its tasks are {', '.join(sorted(names))}" if names else f"{module.__name__} has no tasks"


def _is_own_task(found: object, module: ModuleType) -> bool:
    return isinstance(found, type) and issubclass(found, PipeTask) and found.__module__ == module.__name__
