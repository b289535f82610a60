"""
Who, where and with what: the process that makes bundles, its code and its packages, as values.

Importing this costs nothing. Nothing here fails because a tool is missing: what cannot be known is left
empty. No secret that a command line or a URL carries gets into what is returned.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from disdat import config
from disdat.core.bundle import CodeRef, Run

if TYPE_CHECKING:  # 40 ms, and only runs that are recorded need it
    from importlib.metadata import Distribution

REDACTED = "***"
GIT_TIMEOUT_S = 10.0

_LOUD = r"passw(?:or)?d|passphrase|secret|credential|signature|api[_-]?key|token(?!s|i[sz])"
"""Words that mean a secret wherever they stand in a name: ``DB_PASSWORD_FILE``, but not ``max_tokens``."""
_QUIET = r"key|pwd|pass|pw|auth|authorization"
"""Words that mean one only as the last part of a name: ``access-key``, ``sshKey``, but not ``monkey``."""
_BREAK = r"(?:[_.-]|(?-i:(?<=[a-z])(?=[A-Z])))"
_NAME = rf"(?:[\w.-]*(?:{_LOUD})[\w.-]*|(?:[\w.-]*{_BREAK})?(?:{_QUIET}))"
_VALUE = r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s,;&'"}\])]+)"""

_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_WHOLE = re.compile(rf"((?:--?)?{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(r"(--?[\w.-]+=)(.+)", re.DOTALL)
_INSIDE = re.compile(
    rf"""((?<![\w.-]){_NAME}["']?\s*[=:]\s*(?:(?:bearer|basic|token)\s+)?)(?!//){_VALUE}""", re.IGNORECASE
)
_HEADER = re.compile(r"^(Name|Version):[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_USER_IN_URL = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@", re.IGNORECASE)


def run(*, now_us: int, argv: Sequence[str] | None = None) -> Run:
    """
    Return a new run of this process, under an id of its own, without its package set.

    *now_us* is when it started, in µs since the epoch, UTC; *argv* is the process's own command line, if
    None. Two calls give two runs: whoever starts a pipeline calls this once.
    """
    return Run(
        id=str(uuid.uuid4()),
        user=config.login_name(),
        host=socket.gethostname(),
        argv=redact(sys.argv if argv is None else argv),
        cwd=_current_directory(),
        started_us=now_us,
        python=platform.python_version(),
        platform=platform.platform(),
        pid=os.getpid(),
    )


def redact(argv: Sequence[str]) -> tuple[str, ...]:
    """
    Return a command line with its secrets as ``***``.

    A secret is the value of an option or parameter whose name looks like one (``--password x``,
    ``--token=x``, ``AWS_SECRET_ACCESS_KEY=x``, ``{"api_key": "x"}``), or what stands before the ``@`` of a
    URL. Rather hides too much: the value of ``--sort-key`` goes too.
    """
    return tuple(_redacted(argv))


def without_credentials(url: str) -> str:
    """Return *url* without the user and password that may stand before its host."""
    return _USER_IN_URL.sub(r"\1", url)


@cache
def packages() -> tuple[tuple[str, str], ...]:
    """
    Return the installed distributions as (normalised name, version), sorted; read once per process.

    Of two installations of one name, the one that is imported counts: the first on the path.
    """
    from importlib.metadata import distributions  # as above

    found: dict[str, str] = {}
    for distribution in distributions():
        named = _headers(distribution)
        if name := named.get("name"):  # a damaged installation has none
            found.setdefault(_normalised(name), named.get("version", ""))
    return tuple(sorted(found.items()))


def git(directory: Path) -> CodeRef | None:
    """
    Return the repository, commit, branch and dirtiness of the code in *directory*; None where git knows none.

    ``PIPELINE_GIT_HASH``, ``_TIMESTAMP``, ``_BRANCH``, ``_FETCH_URL`` and ``GIT_DIRTY`` win over what is found.
    Asks git once per directory and process, so an edit in between does not show. Files git does not track do not
    make a directory dirty.
    """
    found = _git(os.path.realpath(directory))
    told = config.git_overrides()
    if found is None and told == config.GitOverrides():
        return None
    found = found or CodeRef()
    return CodeRef(
        repo=found.repo if told.url is None else without_credentials(told.url),
        commit=found.commit if told.commit is None else told.commit,
        committed=found.committed if told.committed is None else told.committed,
        branch=found.branch if told.branch is None else told.branch,
        dirty=found.dirty if told.dirty is None else told.dirty,
    )


def _current_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


def _redacted(argv: Sequence[str]) -> Iterator[str]:
    secret_follows = False
    for argument in argv:
        if secret_follows and not argument.startswith("--"):
            yield REDACTED
            secret_follows = False
            continue
        secret_follows = _OPTION.fullmatch(argument) is not None
        yield _without_secrets(argument)


def _without_secrets(argument: str) -> str:
    argument = _USER_IN_URL.sub(rf"\1{REDACTED}@", argument)
    if whole := _WHOLE.fullmatch(argument):
        return whole[1] + REDACTED
    if plain := _PLAIN.fullmatch(argument):
        return plain[1] + _without_secrets(plain[2])
    return _INSIDE.sub(rf"\1{REDACTED}", argument)


def _headers(distribution: Distribution) -> dict[str, str]:
    """The name and the version in a distribution's metadata, whose other parts take a hundred times as long to read."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or distribution.read_text("") or ""
    found = _HEADER.findall(text.partition("\n\n")[0])
    return {key.lower(): value for key, value in reversed(found)}


def _normalised(name: str) -> str:
    """Return a distribution's name as the packaging rules compare it: ``Foo_Bar.baz`` is ``foo-bar-baz``."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _git(directory: str) -> CodeRef | None:
    status = _ask(directory, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return None
    state = _read_status(status)
    url = _ask(directory, "config", "--get", "remote.origin.url") or ""
    when = _ask(directory, "log", "-1", "--no-show-signature", "--format=%cI") or "" if state.commit else ""
    return CodeRef(
        repo=without_credentials(url.strip()),
        commit=state.commit,
        committed=when.strip(),
        branch=state.branch,
        dirty=state.dirty,
    )


@dataclass(frozen=True, slots=True)
class _State:
    commit: str
    branch: str
    dirty: bool


def _read_status(text: str) -> _State:
    """Read the second porcelain format; a repository without commits has none, a detached head no branch."""
    lines = text.splitlines()
    headers = dict(line[2:].partition(" ")[::2] for line in lines if line.startswith("# "))
    commit, branch = headers.get("branch.oid", ""), headers.get("branch.head", "")
    return _State(
        commit="" if commit == "(initial)" else commit,
        branch="" if branch == "(detached)" else branch,
        dirty=any(not line.startswith("# ") for line in lines),
    )


def _ask(directory: str, *arguments: str) -> str | None:
    """Run git there and return what it prints; None where it cannot, or has no answer, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", directory, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Never ask for a password; never take the index's lock, which a commit of the user's may need.
            env=config.child_environment(
                {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
                # A hook of git's sets these to its own repository, which need not be the one asked about.
                without=("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),
            ),
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
