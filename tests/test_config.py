"""Settings are the defaults, under the config file, under the environment."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from disdat import config
from disdat.config import Settings, load
from disdat.errors import DisdatError, InvalidInput, NotConfigured, PermissionDenied, StorageError
from tests.conftest import unprivileged


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "DISDAT_CONFIG": str(tmp_path / "etc" / "disdat.cfg")}


def write(environ: dict[str, str], text: str) -> Path:
    file = Path(environ["DISDAT_CONFIG"])
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_with_nothing_set_bundles_are_in_a_hidden_directory_of_the_users_home():
    assert load({"HOME": "/home/ada"}) == Settings(
        home=Path("/home/ada/.disdat"), config_file=Path("/home/ada/.config/disdat/disdat.cfg")
    )


def test_the_written_defaults_change_nothing(environ):
    before = load(environ)
    assert config.write_default(Path(environ["DISDAT_CONFIG"]))
    assert load(environ) == before


def test_every_written_default_is_a_setting_with_that_default(environ):
    """Taking the comment signs away gives a file that is read without complaint, and means the same."""
    before = load(environ)
    write(environ, config.COMMENTED_DEFAULTS.replace("\n; ", "\n"))
    assert load(environ) == before


def test_a_config_file_is_never_overwritten(environ):
    file = write(environ, "[run]\nworkers = 3\n")
    assert not config.write_default(file)
    assert load(environ).workers == 3


@pytest.mark.parametrize(
    ("variables", "text", "field", "expected"),
    [
        ({}, "[run]\nrerun = version", "rerun", "version"),
        ({"DISDAT_RERUN": "content"}, "[run]\nrerun = version", "rerun", "content"),
        ({"DISDAT_RERUN": ""}, "[run]\nrerun = version", "rerun", "version"),
        ({}, "[run]\ncode_version = manual:7", "code_version", "manual:7"),
        ({"DISDAT_CODE_VERSION": "git"}, "", "code_version", "git"),
        ({}, "[run]\npackages = none", "packages", "none"),
        ({"DISDAT_PACKAGES": "version"}, "[run]\npackages = none", "packages", "version"),
        ({}, "[run]\nworkers = 4", "workers", 4),
        ({"DISDAT_WORKERS": "8"}, "[run]\nworkers = 4", "workers", 8),
        ({}, "[remote]\ntimeout = 90", "remote_timeout_s", 90),
        ({"DISDAT_REMOTE_TIMEOUT": "5"}, "[remote]\ntimeout = 90", "remote_timeout_s", 5),
        ({}, "[remote]\nweak_from = 5000", "remote_weak_from_bytes", 5000),
        ({"DISDAT_REMOTE_WEAK_FROM": "0"}, "[remote]\nweak_from = 5000", "remote_weak_from_bytes", 0),
        ({}, "[remote]\ntrusted = s3://a/b/ file:///c", "remote_trusted", ("s3://a/b", "file:///c")),
        ({"DISDAT_REMOTE_TRUSTED": "s3://a, gs://b"}, "", "remote_trusted", ("s3://a", "gs://b")),
        ({}, "[aws]\nprofile = lab", "profile", "lab"),
        ({"AWS_PROFILE": "own"}, "[aws]\nprofile = lab", "profile", "own"),
        ({"AWS_PROFILE": "own", "DISDAT_PROFILE": "ours"}, "", "profile", "ours"),
        ({}, "[remote]\nlayout = plain", "layout", "plain"),
        ({}, "", "gc_retention_s", 30 * 86_400),
        ({}, "[gc]\nretention = 0", "gc_retention_s", 0),
        ({"DISDAT_GC_RETENTION": "36h"}, "[gc]\nretention = 2", "gc_retention_s", 36 * 3600),
        ({"DISDAT_GC_GRACE": "1.5"}, "", "gc_grace_s", 36 * 3600),
        ({}, "[gc]\ngrace = 2w", "gc_grace_s", 14 * 86_400),
        ({"DISDAT_REMOTE_LAYOUT": "packed"}, "[remote]\nlayout = plain", "layout", "packed"),
        ({"DISDAT_CONTEXT": "demo"}, "", "context", "demo"),
        ({"NO_COLOR": "1"}, "", "plain", True),
        ({"NO_COLOR": ""}, "", "plain", False),
        ({"TERM": "dumb"}, "", "plain", True),
        ({}, "[logging]\nlevel = DEBUG", "workers", 1),
        ({}, "[DEFAULT]\nworkers = 9\n[run]", "workers", 1),
        ({}, "[core]\nignore_code_version = True", "code_version", "closure"),
    ],
)
def test_a_variable_wins_over_the_file_and_the_file_over_the_default(environ, variables, text, field, expected):
    write(environ, text)
    assert getattr(load(environ | variables), field) == expected


@pytest.mark.parametrize(
    ("variables", "text", "expected"),
    [
        ({}, "[core]\nhome = store", "etc/store"),
        ({}, "[core]\nhome = ~/store", "store"),
        ({}, "[core]\nmeta_dir_root = ~/", ".disdat"),
        ({}, "[core]\nmeta_dir_root = ~", ".disdat"),
        ({}, "[core]\nmeta_dir_root = old", "etc/old/.disdat"),
        ({}, "[core]\nmeta_dir_root = old\nhome = ~/new", "new"),
        ({"DISDAT_HOME": "~/other"}, "[core]\nhome = store", "other"),
        ({"DISDAT_HOME": "here"}, "[core]\nhome = store", "cwd/here"),
    ],
)
def test_a_home_is_relative_to_whoever_named_it(environ, tmp_path, monkeypatch, variables, text, expected):
    """The file's own directory for the file's, the current directory for a variable."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write(environ, text)
    assert load(environ | variables).home == tmp_path / expected


@pytest.mark.parametrize(
    ("variables", "text", "names"),
    [
        ({}, "[run]\nrerun = never", ["disdat.cfg", "[run]", "rerun", "never"]),
        ({}, "[run]\nworkers = 0", ["disdat.cfg", "[run]", "workers", "'0'"]),
        ({}, "[run]\nworkers = two", ["disdat.cfg", "[run]", "workers", "two"]),
        ({}, "[run]\ncode_version = manual:", ["disdat.cfg", "[run]", "code_version"]),
        ({}, "[remote]\nlayout = flat", ["disdat.cfg", "[remote]", "layout", "flat"]),
        ({"DISDAT_GC_GRACE": "-1"}, "", ["DISDAT_GC_GRACE", "-1", "36h"]),
        ({"DISDAT_GC_GRACE": "soon"}, "", ["DISDAT_GC_GRACE", "soon"]),
        ({}, "[gc]\nretention = 1e99", ["disdat.cfg", "[gc]", "retention"]),
        ({}, "[gc]\nretain = 1", ["disdat.cfg", "[gc]", "retain"]),
        ({}, "[core]\nhome = ~nobody-of-that-name/x", ["disdat.cfg", "[core]", "home"]),
        ({}, "[run]\nrerum = content", ["disdat.cfg", "[run]", "rerum"]),
        ({}, "workers = 1", ["disdat.cfg", "section"]),
        ({}, "[run]\nworkers = 1\nworkers = 2", ["disdat.cfg", "workers"]),
        ({"DISDAT_RERUN": "never"}, "", ["DISDAT_RERUN", "never"]),
        ({"DISDAT_WORKERS": "²"}, "", ["DISDAT_WORKERS"]),
        ({"DISDAT_REMOTE_TIMEOUT": "0"}, "", ["DISDAT_REMOTE_TIMEOUT", "0"]),
        ({"DISDAT_REMOTE_WEAK_FROM": "1 GB"}, "", ["DISDAT_REMOTE_WEAK_FROM", "1 GB", "bytes"]),
        ({"DISDAT_REMOTE_TRUSTED": "yes"}, "", ["DISDAT_REMOTE_TRUSTED", "yes", "URLs"]),
        ({"DISDAT_REMOTE_TRUSTED": "file://"}, "", ["DISDAT_REMOTE_TRUSTED", "URLs"]),
        ({}, "[remote]\nweak_from = -1", ["disdat.cfg", "[remote]", "weak_from", "-1"]),
        ({"DISDAT_REMOTE_LAYOUT": "flat"}, "", ["DISDAT_REMOTE_LAYOUT", "flat"]),
        ({"DISDAT_HOME": "~nobody-of-that-name/x"}, "", ["DISDAT_HOME"]),
        ({"DISDAT_CONFIG": "~nobody-of-that-name/x"}, "", ["DISDAT_CONFIG"]),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_where_it_stands(environ, variables, text, names):
    write(environ, text)
    with pytest.raises(InvalidInput) as refused:
        load(environ | variables)
    assert [name for name in names if name not in str(refused.value)] == []
    assert "\n" not in str(refused.value)


def test_bytes_that_are_not_text_are_refused(environ):
    write(environ, "").write_bytes(b"[core]\nhome = \xff\xfe")
    with pytest.raises(InvalidInput, match="UTF-8"):
        load(environ)


def test_a_directory_in_the_place_of_the_file_is_an_error_that_names_it(environ):
    Path(environ["DISDAT_CONFIG"]).mkdir(parents=True)
    with pytest.raises(StorageError, match=r"disdat\.cfg"):
        load(environ)


def test_a_file_that_may_not_be_read_is_an_error_that_names_it(environ):
    write(environ, "").chmod(0)
    with unprivileged(), pytest.raises(PermissionDenied, match=r"disdat\.cfg"):
        load(environ)


def test_defaults_are_not_written_where_the_user_may_not(tmp_path):
    (tmp_path / "etc").mkdir(mode=0o500)
    with unprivileged(), pytest.raises(PermissionDenied, match=r"disdat\.cfg"):
        config.write_default(tmp_path / "etc" / "disdat.cfg")


def test_defaults_are_not_written_where_no_directory_can_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        config.write_default(tmp_path / "file" / "disdat.cfg")


def test_without_home_the_error_says_what_to_set():
    with pytest.raises(NotConfigured) as refused:
        load({})
    assert "HOME" in str(refused.value)
    assert "DISDAT_HOME" in refused.value.hint


def test_without_home_a_named_home_is_enough(tmp_path):
    settings = load({"DISDAT_HOME": str(tmp_path)})
    assert settings.home == tmp_path
    assert settings.config_file is None


def test_a_current_directory_that_is_gone_matters_only_to_relative_paths(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({"DISDAT_HOME": str(tmp_path)}).home == tmp_path
    with pytest.raises(DisdatError, match="current directory"):
        load({"DISDAT_HOME": "here"})


def test_a_config_directory_that_is_not_absolute_is_ignored():
    """So says the XDG base directory specification."""
    settings = load({"HOME": "/home/ada", "XDG_CONFIG_HOME": "etc"})
    assert settings.config_file == Path("/home/ada/.config/disdat/disdat.cfg")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LOGNAME": "ada", "USER": "bob"}, "ada"),
        ({"USER": "bob"}, "bob"),
        ({"LOGNAME": "", "USER": "bob"}, "bob"),
        ({"LOGNAME": "b\udcff"}, "b\ufffd"),
    ],
)
def test_a_user_is_called_what_the_environment_says(environ, expected):
    assert config.login_name(environ) == expected


def test_a_user_whom_no_variable_names_still_has_a_name():
    assert config.login_name({})


@pytest.mark.parametrize(
    ("written", "dirty"),
    [
        ("True", True),
        ("1", True),
        ("dirty", True),
        ("False", False),
        ("0", False),
        ("clean", False),
        ("", None),
    ],
)
def test_the_dirty_override_is_read_in_every_spelling(written, dirty):
    assert config.git_overrides({"GIT_DIRTY": written}).dirty is dirty


@pytest.mark.parametrize(
    ("trusted", "url", "told"),
    [
        (("s3://team",), "s3://team", True),
        (("s3://team",), "s3://team/models", True),
        (("s3://team",), "s3://teams", False),
        (("s3://team/models",), "s3://team", False),
        (("file:///a", "s3://b"), "s3://b/c", True),
        ((), "s3://team", False),
    ],
)
def test_a_remote_is_trusted_by_its_url_or_one_above_it(trusted: tuple[str, ...], url: str, told: bool):
    assert config.Settings(Path("home"), remote_trusted=trusted).trusts(url) is told


def test_what_no_variable_says_about_git_is_unknown_not_empty():
    overrides = config.git_overrides({"PIPELINE_GIT_HASH": "2b47", "PIPELINE_GIT_BRANCH": ""})
    assert (overrides.commit, overrides.branch, overrides.url, overrides.dirty) == ("2b47", None, None, None)


def test_a_childs_environment_is_ours_with_the_changes(monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("DROPPED", "1")
    child = config.child_environment({"NEW": "2"}, without=["DROPPED"])
    assert (child["KEPT"], child["NEW"], "DROPPED" in child, "NEW" in os.environ) == ("1", "2", False, False)


@pytest.mark.parametrize(
    ("variables", "text", "field", "origin"),
    [
        ({}, "", "workers", "default"),
        ({"DISDAT_WORKERS": "2"}, "[run]\nworkers = 3", "workers", "DISDAT_WORKERS"),
        ({}, "[run]\nworkers = 3", "workers", "{file}: [run] workers"),
        ({"AWS_PROFILE": "a"}, "", "profile", "AWS_PROFILE"),
        ({"AWS_PROFILE": "a", "DISDAT_PROFILE": "b"}, "", "profile", "DISDAT_PROFILE"),
        ({}, "[core]\nmeta_dir_root = /srv", "home", "{file}: [core] meta_dir_root"),
        ({"DISDAT_HOME": "/srv"}, "[core]\nmeta_dir_root = /old", "home", "DISDAT_HOME"),
        ({"DISDAT_CONTEXT": "demo"}, "", "context", "DISDAT_CONTEXT"),
        ({"NO_COLOR": "1"}, "", "plain", "NO_COLOR"),
        ({"TERM": "dumb"}, "", "plain", "TERM"),
        ({"TERM": "xterm"}, "", "plain", "default"),
    ],
)
def test_each_setting_says_where_it_comes_from(environ, variables, text, field, origin):
    file = write(environ, text)
    assert config.origins(environ | variables)[field] == origin.format(file=file)


def test_every_setting_but_the_file_itself_has_an_origin(environ):
    names = {field.name for field in dataclasses.fields(Settings)} - {"config_file"}
    assert config.origins(environ).keys() == names


def test_a_chosen_profile_wins_over_both_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "DISDAT_PROFILE"):
        monkeypatch.setenv(name, "before")
    config.set_aws_profile("work")
    assert load().profile == "work"


@pytest.mark.parametrize("place", [{}, {"DISDAT_HOME": "{at}/named"}, {"DISDAT_HOME": "relative"}])
def test_the_home_asked_for_alone_is_the_one_of_the_settings_whatever_changed_since(tmp_path, monkeypatch, place):
    """Asking twice, then after a change of directory, of the config file, and of the variables."""
    for name in ("DISDAT_HOME", "DISDAT_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in place.items():
        monkeypatch.setenv(name, text.format(at=tmp_path))
    found = [config.home(), config.home()]
    assert found == [load().home, load().home]
    monkeypatch.chdir(tmp_path)
    assert config.home() == load().home
    file = tmp_path / ".config" / "disdat" / "disdat.cfg"
    file.parent.mkdir(parents=True)
    file.write_text("[core]\nhome = elsewhere\n", encoding="utf-8")
    assert config.home() == load().home
    file.write_text("[core]\nhome = further\n", encoding="utf-8")
    assert config.home() == load().home
    file.unlink()
    assert config.home() == load().home == (found[0] if place != {"DISDAT_HOME": "relative"} else tmp_path / "relative")
    monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "last"))
    assert config.home() == tmp_path / "last"
