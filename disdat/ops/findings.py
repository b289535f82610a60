"""What a check of a context found, and what to do about it: values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from disdat.core.digest import Digest
from disdat.errors import Corrupt
from disdat.store.checking import PackCheck

_AGAIN = "add the data again, or restore it from a backup"


@dataclass(frozen=True, slots=True)
class Use:
    """A bundle that needs something, and the path in it where it is a file of its tree."""

    uuid: str
    name: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is not as it was written.

    :attr:`kind` is ``object``, ``pack``, ``manifest``, ``file`` (as a user sees it), ``log`` or ``settings``;
    :attr:`wrong` says what is wrong with it, :attr:`remedy` what to do. :attr:`path` is the file, or where it
    would be. *Harmless* is what loses nothing: the right bytes are elsewhere in the store, and are read there.
    """

    kind: str
    wrong: str
    remedy: str
    path: Path
    digest: Digest | None = None
    uses: tuple[Use, ...] = ()
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Unbound:
    """A remote that the context is bound to no more, and the bundles whose bytes are there, and not here."""

    url: str
    name: str
    uuids: tuple[str, ...]
    remedy: str
    """The command that binds to it again."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at, and what was found."""

    context: str
    bundles: int
    objects: int
    """Objects whose bytes were to be read."""
    files: int
    """Files as users see them that were compared with what was stored."""
    events: int
    size_bytes: int
    """Bytes that were read of packs, objects and files."""
    findings: tuple[Finding, ...]
    remote_only: int = 0
    """Objects that are not here, and are on the remote; they were not read."""
    unbound: tuple[Unbound, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged, missing or changed, but for what is harmless."""
        return all(finding.harmless for finding in self.findings)


def damaged(digest: Digest, path: Path, uses: tuple[Use, ...], *, copy: Path | None, is_elsewhere: bool) -> Finding:
    """An object that has wrong bytes in the file *path*; *copy* has the right ones, outside the store."""
    remedy = _remedy(copy, is_elsewhere=is_elsewhere)
    return Finding("object", f"object {digest} is damaged", remedy, path, digest, uses, harmless=is_elsewhere)


def missing(digest: Digest, place: Path, uses: tuple[Use, ...], *, copy: Path | None) -> Finding:
    """An object that is not in the store."""
    return Finding("object", f"object {digest} is missing", _remedy(copy, is_elsewhere=False), place, digest, uses)


def damaged_pack(pack: PackCheck, *, harmless: bool) -> Finding:
    """A pack whose index or name is wrong; harmless if nothing that is needed was found in it alone."""
    if harmless:
        remedy = "nothing: no bundle of this context counts on it"
    else:
        still = f"what it has of this context ({len(pack.right)} objects) still reads right; " if pack.right else ""
        remedy = f"{still}restore it from a backup, or add the data again"
    return Finding("pack", str(pack.damage), remedy, pack.path, harmless=harmless)


def changed_file(path: Path, entry: Digest, use: Use) -> Finding:
    """A file as a user sees it whose bytes are not those that were stored."""
    remedy = "keep a copy if the change was meant; the stored bytes are put in its place when the bundle is next read"
    return Finding("file", f"{path} is not the file that was stored", remedy, path, entry, (use,))


def unread_manifest(path: Path, why: Exception, use: Use) -> Finding:
    """A bundle whose manifest or tree cannot be read though all objects it needs are right."""
    remedy = "restore the log from a backup, or make the bundle again; `dsdt reindex` tries to read it once more"
    return Finding("manifest", f"the bundle {use.uuid} cannot be read: {why}", remedy, path, None, (use,))


def broken(kind: str, path: Path, why: Corrupt) -> Finding:
    """The log or the settings of the context."""
    return Finding(kind, str(why), why.hint, path)


def _remedy(copy: Path | None, *, is_elsewhere: bool) -> str:
    if is_elsewhere:
        return "nothing: the store has the right bytes elsewhere too, and reads those"
    if copy is not None:
        return f"a good copy is at {copy}: to `dsdt add` it, under any name, repairs the store"
    return _AGAIN
