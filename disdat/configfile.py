"""The file of settings, ``disdat.cfg``: its sections and their keys, as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from disdat.errors import InvalidInput, PermissionDenied, StorageError

_KEYS: Mapping[str, frozenset[str]] = {
    # ignore_code_version is Disdat 0.8–1.x's. It is read over: every installation had it set to true, and
    # to obey it would make results stale that their owners believe to be checked.
    "core": frozenset({"home", "meta_dir_root", "ignore_code_version"}),
    "run": frozenset({"rerun", "code_version", "packages", "workers"}),
    "aws": frozenset({"profile"}),
    "remote": frozenset({"layout", "timeout", "weak_from", "trusted"}),
    "gc": frozenset({"retention", "grace"}),
}
"""What may stand in a section of ours. Other sections, such as the old ones for logging, are left alone."""


def sections(file: Path) -> Mapping[str, Mapping[str, str]]:
    """
    The sections of *file* that are ours, every key of them known; empty where there is no file.

    Raises:
        InvalidInput: It is no such file, or has a key of ours that is none.
        StorageError: It is there but cannot be read.
    """
    ours = {name: keys for name, keys in _all(file).items() if name in _KEYS}
    for section, keys in ours.items():
        for key in keys.keys() - _KEYS[section]:
            known = ", ".join(sorted(_KEYS[section]))
            raise InvalidInput(f"{file}: [{section}] {key} is not a setting", hint=f"[{section}] knows {known}")
    return ours


def foreign(file: Path) -> list[str]:
    """The sections of *file* that are none of ours. Raises what :func:`sections` does."""
    return [name for name in _all(file) if name not in _KEYS]


def _all(file: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{file} is not UTF-8 text") from exc
    except PermissionError as exc:
        raise PermissionDenied(f"may not read {file}") from exc
    except OSError as exc:
        raise StorageError(f"cannot read {file}: {exc.strerror}") from exc
    return _parse(text, file)


def _parse(text: str, file: Path) -> Mapping[str, Mapping[str, str]]:
    import configparser  # 8 ms that those without a config file, who are most, should not wait

    # No default section: a key under [DEFAULT] would otherwise appear in all of them.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
    except configparser.Error as exc:
        reason = " ".join(exc.message.replace("'<string>'", "the file").split())
        raise InvalidInput(f"{file} cannot be read: {reason}") from exc
    return {name: dict(parser[name]) for name in parser.sections()}
