"""A run says who, where and with what, and never a secret."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat import capture
from disdat.capture import REDACTED, redact
from tests.conftest import require

SECRET_NAMES = [
    "password",
    "DB_PASSWORD",
    "passwd",
    "passphrase",
    "client-secret",
    "AWS_SECRET_ACCESS_KEY",
    "aws_session_token",
    "token",
    "authToken",
    "key",
    "api-key",
    "apiKey",
    "sshKey",
    "APIKEY",
    "private_key",
    "credential",
    "credentials-file",
    "X-Amz-Signature",
    "auth",
]
PLAIN_NAMES = [
    "monkey",
    "keyboard",
    "max_tokens",
    "tokenizer",
    "passes",
    "author",
    "keyed",
    "n-estimators",
    "compass",
]
SHAPES = [
    "--{name}={value}",
    "--{name} {value}",
    "-{name} {value}",
    "{name}={value}",
    "--param {name}={value}",
]
secrets = st.text(min_size=6).filter(lambda text: not text.startswith("--"))
# A secret inside longer text ends at a space or a delimiter, so there it has neither.
tokens = st.text(alphabet=st.characters(categories=["L", "N"]), min_size=6)


def words(shape: str, name: str, value: str) -> list[str]:
    return [part.format(name=name, value=value) for part in shape.split(" ")]


@given(value=secrets)
def test_the_value_of_a_name_that_means_a_secret_is_never_kept(value):
    for shape, name in itertools.product(SHAPES, SECRET_NAMES):
        kept = redact(["prog", *words(shape, name, value), "last"])
        assert kept == ("prog", *words(shape, name, REDACTED), "last")


@given(value=st.integers())
def test_the_value_of_any_other_name_is_kept(value):
    for shape, name in itertools.product(SHAPES, PLAIN_NAMES):
        argv = ("prog", *words(shape, name, str(value)))
        assert redact(argv) == argv


@pytest.mark.parametrize(
    "text",
    [
        '{{"user": "ada", "api_key": "{}"}}',
        "{{'password': '{}', 'n': 1}}",
        "https://host/path?x=1&token={}&y=2",
        "https://bucket.s3/obj?X-Amz-Signature={}",
        "Authorization: Bearer {}",
        "postgresql://ada:{}@db/1",
        "https://{}@github.com/org/repo.git",
        "--url=s3://ada:{}@host/bucket",
        "--params=password={} and=more",
        "host=db password={} port=5432",
        "-ptoken={}",
    ],
)
@given(value=tokens)
def test_a_secret_inside_longer_text_is_never_kept(text, value):
    (kept,) = redact([text.format(value)])
    assert value not in kept.replace(REDACTED, "")
    assert REDACTED in kept


@pytest.mark.parametrize(
    "argv",
    [
        ("dsdt", "add", "my.bundle", "data.csv", "-t", "city:Paris"),
        ("dsdt", "apply", "mod.Task", "--n", "4", "--url", "s3://bucket/prefix/key"),
        ("prog", "http://host:8080/path?page=2"),
        ("prog", "git@github.com:org/repo.git"),
        ("prog", "--ask-password", "--verbose"),
        ("prog", "--", "", "-", "="),
    ],
)
def test_a_command_line_without_secrets_is_kept_as_it_is(argv):
    assert redact(argv) == argv


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://ada:s3cret@github.com/org/repo.git", "https://github.com/org/repo.git"),
        ("https://x-oauth:a@b@c@github.com/org/repo", "https://github.com/org/repo"),
        ("ssh://git@host:2222/repo", "ssh://host:2222/repo"),
        ("https://github.com/org/repo@v1", "https://github.com/org/repo@v1"),
        ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("/srv/git/repo", "/srv/git/repo"),
        ("", ""),
    ],
)
def test_a_url_loses_its_credentials_and_nothing_else(url, kept):
    assert capture.without_credentials(url) == kept


def test_a_run_is_this_process_now(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "ada")
    run = capture.run(now_us=1_700_000_000_000_000, argv=["dsdt", "--token", "abc"])
    assert (run.user, run.cwd, run.pid) == ("ada", str(tmp_path), os.getpid())
    assert run.argv == ("dsdt", "--token", REDACTED)
    assert run.started_us == 1_700_000_000_000_000
    assert run.python == ".".join(map(str, sys.version_info[:3]))
    assert run.host
    assert run.platform


def test_a_run_without_a_command_line_of_its_own_takes_the_processs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--password=x"])
    assert capture.run(now_us=0).argv == ("prog", f"--password={REDACTED}")


def test_two_runs_differ_though_all_else_is_equal():
    first, second = (capture.run(now_us=0, argv=[]) for _ in range(2))
    assert first.id != second.id


def test_a_current_directory_that_is_gone_is_left_empty(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert capture.run(now_us=0).cwd == ""


def test_packages_are_what_is_installed_under_comparable_names():
    packages = capture.packages()
    assert list(packages) == sorted(packages)
    assert {name: version(name) for name, _ in packages} == dict(packages)
    assert [name for name, _ in packages if name != name.lower() or "_" in name or "." in name] == []
    assert len(dict(packages)) == len(packages)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit on branch ``work``, with an origin whose URL carries a password."""
    require("git")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "module.py").write_text("x = 1\n", encoding="utf-8")
    command(root, "init", "-q", "-b", "work")
    command(root, "remote", "add", "origin", "https://ada:s3cret@host/org/repo.git")
    commit(root)
    return root


def command(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", root, *arguments], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout.strip()


def commit(root: Path) -> None:
    command(root, "add", ".")
    command(root, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "Begin")


def test_code_in_a_repository_is_its_commit_branch_and_origin(repository):
    code = capture.git(repository)
    assert code is not None
    assert (code.commit, code.branch, code.dirty) == (command(repository, "rev-parse", "HEAD"), "work", False)
    assert code.repo == "https://host/org/repo.git"


def test_an_edit_makes_code_dirty_and_a_new_file_does_not(repository):
    (repository / "new.py").touch()
    clean = capture._git.__wrapped__(str(repository))
    (repository / "module.py").write_text("x = 2\n", encoding="utf-8")
    edited = capture._git.__wrapped__(str(repository))
    assert (clean.dirty, edited.dirty) == (False, True)


def test_a_detached_head_has_a_commit_and_no_branch(repository):
    command(repository, "checkout", "-q", "--detach")
    code = capture.git(repository)
    assert code is not None
    assert (bool(code.commit), code.branch) == (True, "")


def test_a_repository_without_commits_or_origin_is_still_one(tmp_path):
    require("git")
    command(tmp_path, "init", "-q", "-b", "work")
    code = capture.git(tmp_path)
    assert code is not None
    assert (code.commit, code.committed, code.branch, code.repo, code.dirty) == ("", "", "work", "", False)


def test_the_environment_says_what_a_packed_repository_cannot(tmp_path, monkeypatch):
    told = {"HASH": "2b47", "TIMESTAMP": "2026-03-01", "BRANCH": "main", "FETCH_URL": "https://ada:s3cret@host/repo"}
    for name, value in told.items():
        monkeypatch.setenv(f"PIPELINE_GIT_{name}", value)
    monkeypatch.setenv("GIT_DIRTY", "True")
    code = capture.git(tmp_path)
    assert code is not None
    assert (code.commit, code.branch, code.repo, code.dirty) == ("2b47", "main", "https://host/repo", True)
    assert code.committed == "2026-03-01"


def test_the_environment_wins_over_the_repository_one_field_at_a_time(repository, monkeypatch):
    monkeypatch.setenv("PIPELINE_GIT_BRANCH", "release")
    code = capture.git(repository)
    assert code is not None
    assert (code.commit, code.branch) == (command(repository, "rev-parse", "HEAD"), "release")
    assert code.committed == command(repository, "show", "--no-patch", "--format=%cI")


def test_gits_own_variables_do_not_lead_to_another_repository(repository, tmp_path, monkeypatch):
    """In a hook of git's, GIT_DIR names the repository of the hook."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert capture.git(elsewhere) is None


def test_what_is_no_repository_has_no_code_reference(tmp_path):
    assert capture.git(tmp_path) is None
    assert capture.git(tmp_path / "absent") is None


def test_without_git_there_is_no_code_reference_and_no_error(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capture.git(repository) is None


def test_a_git_that_hangs_is_given_up(repository, monkeypatch, tmp_path):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(capture, "GIT_TIMEOUT_S", 0.2)
    started = time.monotonic()
    assert capture.git(repository) is None
    assert time.monotonic() - started < 10


def test_git_is_asked_once_for_a_directory_however_it_is_named(repository, tmp_path):
    before = capture._git.cache_info()
    (tmp_path / "link").symlink_to(repository)
    capture.git(repository)
    capture.git(tmp_path / "link")
    after = capture._git.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)
