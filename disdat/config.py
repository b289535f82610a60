"""
Settings: the environment and ``disdat.cfg``, read once into a frozen value.

Nothing else in the package reads the environment; what others need of it (the user's name, git overrides for
code that was packed without its repository, the environment for a child process) is asked for here.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from disdat import configfile, configtext
from disdat.configtext import DAY_S, one_of
from disdat.errors import InvalidInput, NotConfigured, PermissionDenied, StorageError

Rerun = Literal["content", "version"]
Packages = Literal["version", "none"]
Layout = Literal["packed", "plain"]
T = TypeVar("T")

FILE_NAME = "disdat.cfg"
DEFAULT = "default"
"""What :func:`origins` says of a setting that nobody chose."""

COMMENTED_DEFAULTS = """\
# Disdat's settings. Every line shows a default; remove the leading "; " to change it.
# A DISDAT_* variable, named on the right, wins over this file; an option of a command wins over both.

[core]
# Where bundles are kept. Relative paths start at this file's directory.   DISDAT_HOME
; home = ~/.disdat

[run]
# What makes a finished task run again: "content", when an input's content differs,
# or "version", when a newer bundle of an input exists.                    DISDAT_RERUN
; rerun = content

# What counts as a change of code: "closure", the source a task reaches; "git", the commit;
# "manual:<version>", the version you state; "none", nothing does.         DISDAT_CODE_VERSION
; code_version = closure

# How installed packages count where the source does: by their "version", or "none". DISDAT_PACKAGES
; packages = version

# Tasks that run at the same time.                                         DISDAT_WORKERS
; workers = 1

[gc]
# How long removed bundles can be restored: in days, or like 36h.          DISDAT_GC_RETENTION
; retention = 30

# How long `dsdt gc --purge` leaves in the trash what `--apply` put there.  DISDAT_GC_GRACE
; grace = 7

[aws]
# The profile in AWS's own files that credentials are taken from.          DISDAT_PROFILE, AWS_PROFILE
; profile =

[remote]
# How files lie on a remote: "packed", by digest, or "plain", under their own names.
#                                                                          DISDAT_REMOTE_LAYOUT
; layout = packed

# For how many seconds a remote that does not answer is asked again.       DISDAT_REMOTE_TIMEOUT
; timeout = 60

# Files on S3 of so many bytes and more, written there or named by their URLs, are not read to be
# hashed: S3's word is taken for what they are, until somebody reads them. 0: all are.
#                                                                          DISDAT_REMOTE_WEAK_FROM
; weak_from = 1000000000

# Remotes, by their URLs, whose pickles may be read: to read one is to run what whoever wrote it chose,
# so name those that only people may write to whom you would let run programs as you.
#                                                                          DISDAT_REMOTE_TRUSTED
; trusted =
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What the user chose, or the defaults.

    :attr:`config_file` is where settings were looked for, whether or not a file is there; None where no
    variable says where that would be. :attr:`plain` asks for output without colour or animation.
    """

    home: Path
    config_file: Path | None = None
    context: str | None = None
    profile: str | None = None
    rerun: Rerun = "content"
    code_version: str = "closure"
    packages: Packages = "version"
    workers: int = 1
    layout: Layout = "packed"
    remote_timeout_s: int = 60
    remote_weak_from_bytes: int = 1_000_000_000
    remote_trusted: tuple[str, ...] = ()
    gc_retention_s: int = 30 * DAY_S
    gc_grace_s: int = 7 * DAY_S
    plain: bool = False

    def trusts(self, url: str) -> bool:
        """Whether pickles may be read that come from the remote at *url*: it, or what is above it, is named."""
        return any(f"{url}/".startswith(f"{each}/") for each in self.remote_trusted)


@dataclass(frozen=True, slots=True)
class GitOverrides:
    """What the environment says of code that runs without its repository; None where it says nothing."""

    commit: str | None = None
    committed: str | None = None
    branch: str | None = None
    url: str | None = None
    dirty: bool | None = None


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """
    Read *environ* (the process's own, if None) and the config file it leads to.

    Reads one file and writes nothing.

    Raises:
        InvalidInput: A value cannot be used; the message names the variable, or the file, section and key.
        NotConfigured: ``HOME`` is needed to find the bundles, and is not set.
        StorageError: The config file is there but cannot be read.
    """
    source = _Source.open(_process(environ))
    return Settings(
        home=_home(source),
        config_file=source.file,
        context=source.variable("DISDAT_CONTEXT"),
        profile=source.read(str, None, *_PLACES["profile"]),
        rerun=source.read(_rerun, "content", *_PLACES["rerun"]),
        code_version=source.read(configtext.code_version, "closure", *_PLACES["code_version"]),
        packages=source.read(_packages, "version", *_PLACES["packages"]),
        workers=source.read(configtext.whole_number, 1, *_PLACES["workers"]),
        layout=source.read(_layout, "packed", *_PLACES["layout"]),
        remote_timeout_s=source.read(configtext.whole_number, 60, *_PLACES["remote_timeout_s"]),
        remote_weak_from_bytes=source.read(configtext.count, 1_000_000_000, *_PLACES["remote_weak_from_bytes"]),
        remote_trusted=source.read(configtext.urls, (), *_PLACES["remote_trusted"]),
        gc_retention_s=source.read(configtext.duration_s, 30 * DAY_S, *_PLACES["gc_retention_s"]),
        gc_grace_s=source.read(configtext.duration_s, 7 * DAY_S, *_PLACES["gc_grace_s"]),
        plain=_plain(source) is not None,
    )


def home() -> Path:
    """
    The home that :func:`load` finds at this moment.

    Every call of the API asks for it, so it is remembered, for as long as there is no config file, together with
    what it followed from: the variables, and nothing there where the file would be.
    """
    said = tuple(map(os.environ.get, _LEADING_HOME))
    known = _known_homes.get(said)
    if known is not None and _is_missing(known.config_file):
        return known.home
    settings = load()
    if settings.config_file is not None and _is_missing(settings.config_file) and all(map(_is_absolute, said)):
        _known_homes.clear()  # one is enough
        _known_homes[said] = _KnownHome(str(settings.config_file), settings.home)
    return settings.home


def origins(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each setting comes from, by its field's name: a variable, a place in the config file, or ``default``."""
    source = _Source.open(_process(environ))
    found = {name: source.given(*place) for name, place in _PLACES.items()}
    named = {name: given.where if given else DEFAULT for name, given in found.items()}
    if named["home"] == DEFAULT and (old := source.given("core", "meta_dir_root")):
        named["home"] = old.where
    context = "DISDAT_CONTEXT" if source.variable("DISDAT_CONTEXT") else DEFAULT
    return named | {"context": context, "plain": _plain(source) or DEFAULT}


def ignored_sections(environ: Mapping[str, str] | None = None) -> list[str]:
    """The sections of the config file that are none of ours. Raises what :func:`load` does."""
    file = _config_file(_process(environ))
    return configfile.foreign(file) if file else []


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """The variables named as ours that nothing reads."""
    known = {name for _, _, *variables in _PLACES.values() for name in variables} | {"DISDAT_CONTEXT", "DISDAT_CONFIG"}
    return sorted(name for name in _process(environ) if name.startswith("DISDAT_") and name not in known)


def write_default(path: Path) -> bool:
    """
    Write :data:`COMMENTED_DEFAULTS` to *path* and return True.

    Where something is there already, nothing is written and False returned.

    Raises:
        StorageError: The file could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(COMMENTED_DEFAULTS)
    except PermissionError as exc:
        raise PermissionDenied(f"may not write {path}") from exc
    except OSError as exc:
        # Of the directories above it, too, one can exist as something else.
        if isinstance(exc, FileExistsError) and os.path.lexists(path):
            return False
        raise StorageError(f"cannot write {path}: {exc.strerror}") from exc
    return True


def login_name(environ: Mapping[str, str] | None = None) -> str:
    """Return the user's name: as the environment has it, else as the system does, else ``uid-<number>``."""
    environ = _process(environ)
    for name in ("LOGNAME", "USER", "USERNAME"):
        if value := environ.get(name):
            return os.fsencode(value).decode("utf-8", "replace")  # it becomes part of what is searched for
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def set_aws_profile(profile: str) -> None:
    """Make :func:`load`, and all that reads AWS's own variables here and in child processes, take this profile."""
    os.environ["AWS_PROFILE"] = profile
    os.environ.pop("DISDAT_PROFILE", None)  # it would win over the one that is asked for now


def git_overrides(environ: Mapping[str, str] | None = None) -> GitOverrides:
    """Return what the ``PIPELINE_GIT_*`` variables and ``GIT_DIRTY`` say."""
    environ = _process(environ)
    dirty = environ.get("GIT_DIRTY")
    return GitOverrides(
        commit=environ.get("PIPELINE_GIT_HASH") or None,
        committed=environ.get("PIPELINE_GIT_TIMESTAMP") or None,
        branch=environ.get("PIPELINE_GIT_BRANCH") or None,
        url=environ.get("PIPELINE_GIT_FETCH_URL") or None,
        dirty=dirty.lower() not in _FALSE if dirty else None,
    )


def child_environment(changes: Mapping[str, str], *, without: Iterable[str] = ()) -> dict[str, str]:
    """Return a copy of this process's environment for a child, with *changes* and *without* those names."""
    kept = {name: value for name, value in os.environ.items() if name not in set(without)}
    return {**kept, **changes}


_rerun: Callable[[str], Rerun] = one_of("content", "version")
_packages: Callable[[str], Packages] = one_of("version", "none")
_layout: Callable[[str], Layout] = one_of("packed", "plain")

_FALSE = frozenset({"0", "false", "no", "off", "clean"})

_PLACES: Mapping[str, tuple[str, ...]] = {
    "home": ("core", "home", "DISDAT_HOME"),
    "profile": ("aws", "profile", "DISDAT_PROFILE", "AWS_PROFILE"),
    "rerun": ("run", "rerun", "DISDAT_RERUN"),
    "code_version": ("run", "code_version", "DISDAT_CODE_VERSION"),
    "packages": ("run", "packages", "DISDAT_PACKAGES"),
    "workers": ("run", "workers", "DISDAT_WORKERS"),
    "layout": ("remote", "layout", "DISDAT_REMOTE_LAYOUT"),
    "remote_timeout_s": ("remote", "timeout", "DISDAT_REMOTE_TIMEOUT"),
    "remote_weak_from_bytes": ("remote", "weak_from", "DISDAT_REMOTE_WEAK_FROM"),
    "remote_trusted": ("remote", "trusted", "DISDAT_REMOTE_TRUSTED"),
    "gc_retention_s": ("gc", "retention", "DISDAT_GC_RETENTION"),
    "gc_grace_s": ("gc", "grace", "DISDAT_GC_GRACE"),
}
"""Setting -> its section and key in the config file, and the variables that win over that, the first one most."""

_LEADING_HOME = ("DISDAT_HOME", "DISDAT_CONFIG", "XDG_CONFIG_HOME", "HOME")
"""The variables that say where bundles and the config file are."""


@dataclass(frozen=True, slots=True)
class _KnownHome:
    """The home where no config file is."""

    config_file: str
    home: Path


_known_homes: dict[tuple[str | None, ...], _KnownHome] = {}
"""By what :data:`_LEADING_HOME` said."""


def _is_missing(path: str | Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:  # whoever reads the file says what is wrong with it
        return False
    return False


def _is_absolute(text: str | None) -> bool:
    """Whether a variable says the same in every directory."""
    return not text or text.startswith(("/", "~"))


@dataclass(frozen=True, slots=True)
class _Given:
    """A setting as somebody wrote it."""

    text: str
    where: str
    directory: Path | None
    """Where relative paths start; None is the current directory."""


@dataclass(frozen=True, slots=True)
class _Source:
    """An environment and the config file it leads to."""

    environ: Mapping[str, str]
    file: Path | None
    sections: Mapping[str, Mapping[str, str]]

    @classmethod
    def open(cls, environ: Mapping[str, str]) -> _Source:
        file = _config_file(environ)
        return cls(environ, file, configfile.sections(file) if file else {})

    def variable(self, name: str) -> str | None:
        """Return a variable's value; one that is set to nothing counts as not set."""
        return self.environ.get(name) or None

    def given(self, section: str, key: str, *variables: str) -> _Given | None:
        """Return the first of *variables* that is set, else what the file says."""
        for name in variables:
            if value := self.variable(name):
                return _Given(value, name, None)
        value = self.sections.get(section, {}).get(key)
        if not value or self.file is None:
            return None
        return _Given(value, f"{self.file}: [{section}] {key}", self.file.parent)

    def read(self, parse: Callable[[str], T], default: T, section: str, key: str, *variables: str) -> T:
        given = self.given(section, key, *variables)
        if given is None:
            return default
        try:
            return parse(given.text)
        except ValueError as exc:
            raise InvalidInput(f"{given.where} is {given.text!r}, but {exc}") from exc


def _process(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _config_file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("DISDAT_CONFIG"):
        return _given_path(_Given(named, "DISDAT_CONFIG", None), environ)
    if (xdg := environ.get("XDG_CONFIG_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "disdat" / FILE_NAME
    if sys.platform != "linux":
        from platformdirs import (
            user_config_path,
        )  # 25 ms that Linux does not need: its rule is the lines around

        return user_config_path("disdat", appauthor=False) / FILE_NAME
    return Path(user, ".config", "disdat", FILE_NAME) if (user := environ.get("HOME")) else None


def _plain(source: _Source) -> str | None:
    """Return the variable that asks for output without colour, if one does."""
    if source.variable("NO_COLOR"):
        return "NO_COLOR"
    return "TERM" if source.variable("TERM") == "dumb" else None


def _home(source: _Source) -> Path:
    if given := source.given(*_PLACES["home"]):
        return _given_path(given, source.environ)
    if given := source.given("core", "meta_dir_root"):
        return _given_path(given, source.environ) / ".disdat"
    return _user_home(source.environ) / ".disdat"


def _given_path(given: _Given, environ: Mapping[str, str]) -> Path:
    try:
        return _path(given.text, environ, given.directory)
    except RuntimeError as exc:
        raise InvalidInput(f"{given.where} is {given.text!r}, but there is no such user") from exc


def _path(text: str, environ: Mapping[str, str], directory: Path | None) -> Path:
    """Return *text* as an absolute path; raise RuntimeError where it starts at an unknown user's home."""
    head, _, rest = text.partition("/")
    path = _user_home(environ) / rest if head == "~" else Path(text).expanduser()
    if path.is_absolute():
        return path
    return (_current_directory() if directory is None else directory) / path


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as exc:
        raise StorageError("the current directory no longer exists", hint="change to another one") from exc


def _user_home(environ: Mapping[str, str]) -> Path:
    if not (home := environ.get("HOME")):
        raise NotConfigured(
            "HOME is not set, so there is no default place for bundles",
            hint="set HOME, or DISDAT_HOME to the directory for bundles",
        )
    return Path(home)
