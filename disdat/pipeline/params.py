"""Parameters of a task: checked when they are given, read from a command line, and as the text that identifies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import luigi
from luigi.parameter import ParameterException, ParameterVisibility

from disdat import capture
from disdat.core import digest, similar
from disdat.errors import InvalidInput

# luigi's parameters raise what int(), json.loads() and their like raise.
_REFUSALS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, ParameterException)

_OWN = {luigi.Parameter: str, luigi.IntParameter: int, luigi.FloatParameter: float, luigi.BoolParameter: bool}
"""The types of values that need not be looked at, by the class of the parameter."""

_SHAPES = ((luigi.DictParameter, Mapping), (luigi.ListParameter, tuple))

_SHOWN = 60
_WHOLE = 256
"""Parameters up to this length stand whole where tasks are told apart."""
_ENDS = 64
_DIGITS = 16
_KEPT = "_disdat_params"

_Value = Any  # whatever the type of a parameter lets it be


def check(cls: type[luigi.Task], given: Mapping[str, object]) -> None:
    """
    Refuse what *cls* cannot be made with.

    Raises:
        InvalidInput: A parameter is unknown, missing, or of a type that does not read back as what it was.
    """
    known = dict(cls.get_params())
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(f"{cls.__name__} has no parameter {name!r}", hint=_known_hint(known, name))
        if not _fits(known[name], value):
            raise _wrong_type(cls, name, known[name], value)
    family = cls.get_task_family()
    missing = [name for name in known if name not in given and not known[name].has_task_value(family, name)]
    if missing:
        wants = ", ".join(f"{name} ({_kind(known[name])})" for name in missing)
        raise InvalidInput(f"{cls.__name__} needs {wants}", hint=f"give --{missing[0]} VALUE, or params in Python")


def parse(cls: type[luigi.Task], words: Sequence[str]) -> dict[str, object]:
    """
    The parameters on a command line: ``--name value``, ``--name=value``, and ``--flag`` alone for a true one.

    A dash in a name may stand for its underscore.

    Raises:
        InvalidInput: A parameter is unknown, given twice, or its value cannot be read.
    """
    known = dict(cls.get_params())
    parsed: dict[str, object] = {}
    for word, text in _pairs(known, words):
        name = word.replace("-", "_")
        if name not in known:
            raise InvalidInput(f"{cls.__name__} has no parameter {word!r}", hint=_known_hint(known, name))
        if name in parsed:
            raise InvalidInput(f"parameter {name} is given twice")
        parsed[name] = _parse_one(cls, name, known[name], text)
    return parsed


def read(cls: type[luigi.Task], texts: Mapping[str, str]) -> dict[str, object]:
    """
    The parameters of a task of *cls* whose significant ones :func:`identifying` gives as *texts*.

    Raises:
        InvalidInput: One is unknown, missing or not public, or its text cannot be read.
    """
    known = {name: parameter for name, parameter in cls.get_params() if parameter.significant}
    if known.keys() != texts.keys():
        raise InvalidInput(f"{cls.__name__} has other parameters now")
    if hidden := [name for name, each in known.items() if each.visibility != ParameterVisibility.PUBLIC]:
        raise InvalidInput(f"parameter {hidden[0]} of {cls.__name__} is not public")
    family = cls.get_task_family()
    if any(name not in known and not each.has_task_value(family, name) for name, each in cls.get_params()):
        raise InvalidInput(f"{cls.__name__} has other parameters now")
    return {name: _read_one(cls, name, parameter, texts[name]) for name, parameter in known.items()}


def _read_one(cls: type[luigi.Task], name: str, parameter: luigi.Parameter[_Value], text: str) -> object:
    # None has no text of its own.
    is_none = parameter._default is None and parameter.serialize(None) == text
    return None if is_none else _parse_one(cls, name, parameter, text)


def from_json(cls: type[luigi.Task], given: Mapping[str, object]) -> dict[str, object]:
    """
    The parameters in a JSON object: each as JSON has it where that fits, else as text that a command line would have.

    Raises:
        InvalidInput: A parameter is unknown, or its value cannot be read.
    """
    known = dict(cls.get_params())
    read: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(f"{cls.__name__} has no parameter {name!r}", hint=_known_hint(known, name))
        if isinstance(value, str) and not _fits(known[name], value):
            read[name] = _parse_one(cls, name, known[name], value)
        elif _fits(known[name], value):
            read[name] = value
        else:
            raise _wrong_type(cls, name, known[name], value)
    return read


def identifying(task: luigi.Task) -> dict[str, str]:
    """The significant parameters as text; of one that is not public only the digest, as this is recorded."""
    return {
        name: text if public else digest.of_bytes(text.encode("utf-8", "surrogatepass"))
        for name, text, significant, public in _texts(task)
        if significant
    }


def recorded(task: luigi.Task) -> dict[str, str]:
    """The parameters to record with what *task* makes: the public ones, with ``***`` for an insignificant secret."""
    public = [(name, text, significant) for name, text, significant, is_public in _texts(task) if is_public]
    return {name: text if significant else _without_secret(name, text) for name, text, significant in public}


def describe(task: luigi.Task) -> str:
    """
    A task for people: ``Train(gamma=0.1)``, with its public significant parameters.

    Tasks that differ in these are described differently: of a very long text stand the ends, and a digest between.
    """
    shown = [f"{name}={_told(text)}" for name, text, significant, public in _texts(task) if significant and public]
    return f"{task.get_task_family()}({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Described:
    """A parameter for people: its name, what it holds, its default as text (None: it must be given), what it is for."""

    name: str
    kind: str
    default: str | None
    description: str


def explain(cls: type[luigi.Task]) -> list[Described]:
    """What *cls* may be told, in the order it names them; of what is not public no default."""
    return [_described(cls, name, parameter) for name, parameter in cls.get_params()]


def _described(cls: type[luigi.Task], name: str, parameter: luigi.Parameter[_Value]) -> Described:
    family, default = cls.get_task_family(), None
    if parameter.has_task_value(family, name):
        is_public = parameter.visibility == ParameterVisibility.PUBLIC
        value = parameter.task_value(family, name)
        default = _default_text(parameter, value) if is_public else "***"
    return Described(name, _kind(parameter), default, parameter.description or "")


def _default_text(parameter: luigi.Parameter[_Value], value: object) -> str:
    return "None" if value is None else _short(parameter.serialize(parameter.normalize(value)))


def _texts(task: luigi.Task) -> list[tuple[str, str, bool, bool]]:
    """Each parameter's name and text, and whether it is significant and public; a task keeps what was found."""
    found: list[tuple[str, str, bool, bool]] | None = vars(task).get(_KEPT)
    if found is None:
        found = [
            (
                name,
                parameter.serialize(task.param_kwargs[name]),
                parameter.significant,
                parameter.visibility == ParameterVisibility.PUBLIC,
            )
            for name, parameter in task.get_params()
        ]
        vars(task)[_KEPT] = found
    return found


def _without_secret(name: str, text: str) -> str:
    return capture.redact([f"--{name}={text}"])[0].partition("=")[2]


def _fits(parameter: luigi.Parameter[_Value], value: object) -> bool:
    """Whether a value is one of the parameter's: written as text and read again, it is the same."""
    if value is None and parameter._default is None:  # luigi has no public name for it
        return True
    try:
        own = parameter.normalize(value)
        again = parameter.normalize(parameter.parse(parameter.serialize(own)))
        if not _has_shape(parameter, own):
            return False
        return bool(again == own) or repr(again) == repr(own) == "nan"
    except _REFUSALS:
        return False


def settled(parameter: luigi.Parameter[_Value], value: object) -> object:
    """
    A parameter's value as it reads back from text, where that is equal: ``2`` of a float is ``2.0``.

    So a task is the same, with the same text and key, wherever it is made.
    """
    if value is None or type(value) is _OWN.get(type(parameter)):
        return value
    try:
        again = parameter.normalize(parameter.parse(parameter.serialize(value)))
        return again if bool(again == value) else value
    except _REFUSALS:
        return value


def _parse_one(cls: type[luigi.Task], name: str, parameter: luigi.Parameter[_Value], text: str) -> object:
    try:
        value: object = parameter.normalize(parameter.parse(text))
    except _REFUSALS as exc:
        raise _wrong_type(cls, name, parameter, text) from exc
    if not _has_shape(parameter, value):
        raise _wrong_type(cls, name, parameter, text)
    return value


def _has_shape(parameter: luigi.Parameter[_Value], value: object) -> bool:
    """Luigi reads any JSON for a list and for a dict; each must be what it is called."""
    return value is None or not any(isinstance(parameter, kind) and not isinstance(value, of) for kind, of in _SHAPES)


def _pairs(known: Mapping[str, luigi.Parameter[_Value]], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word in {"--", "--="}:
            raise InvalidInput(f"{word!r} is not a parameter", hint="write --NAME VALUE")
        name, equals, text = word[2:].partition("=")
        if equals:
            yield name, text
        elif isinstance(known.get(name.replace("-", "_")), luigi.BoolParameter):
            says = bool(rest) and rest[0].lower() in {"true", "false"}
            yield name, rest.pop(0) if says else "true"
        elif rest and not rest[0].startswith("--"):
            yield name, rest.pop(0)
        else:
            _refuse_unknown(known, name)
            raise InvalidInput(f"parameter {name} needs a value", hint=f"write --{name} VALUE or --{name}=VALUE")


def _refuse_unknown(known: Mapping[str, luigi.Parameter[_Value]], name: str) -> None:
    if name.replace("-", "_") not in known:
        raise InvalidInput(f"there is no parameter {name!r}", hint=_known_hint(known, name))


def _wrong_type(cls: type[luigi.Task], name: str, parameter: luigi.Parameter[_Value], value: object) -> InvalidInput:
    shown = _short(repr(value))
    return InvalidInput(
        f"parameter {name} of {cls.__name__} is {_kind(parameter)}; {type(value).__name__} {shown} is not",
        hint=_choices(parameter),
    )


def _told(text: str) -> str:
    if len(text) <= _WHOLE:
        return text
    found = digest.of_bytes(text.encode("utf-8", "surrogatepass")).rpartition(":")[2]
    return f"{text[:_ENDS]}...{found[:_DIGITS]}...{text[-_ENDS:]}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _kind(parameter: luigi.Parameter[_Value]) -> str:
    """What a parameter holds, as its class says: ``IntParameter`` is an int."""
    kind = type(parameter).__name__.removesuffix("Parameter") or "Str"
    word = kind.removeprefix("Optional").lower()
    article = "an" if word[:1] in "aeiou" else "a"
    return f"{article} {word}" + (" or None" if kind.startswith("Optional") else "")


def _choices(parameter: luigi.Parameter[_Value]) -> str:
    choices = getattr(parameter, "_choices", None)
    return f"one of {', '.join(map(str, choices))}" if choices else ""


def _known_hint(known: Mapping[str, object], name: str) -> str:
    if not known:
        return "it has no parameters"
    close = similar.closest(name, known)
    return (f"did you mean {close}? " if close else "") + f"its parameters: {', '.join(known)}"
