"""
What can go wrong, as types a caller would handle.

    DisdatError(Exception)           .kind: stable code    .hint: what to do, shown by the CLI
    ├── NotFound        (LookupError)  BundleNotFound, ContextNotFound, ObjectNotFound, RefNotFound, PathNotFound,
    │                              BucketNotFound
    ├── AlreadyExists
    ├── InvalidInput    (ValueError)   Unserializable, BadQuery, BadName, BadLinkError,
    │                              BundleClosed
    ├── Conflict                       MergeConflict(paths), RefMoved(expected, found)
    ├── Corrupt                        DigestMismatch(expected, found), UnknownFormat(found, supported)
    ├── StorageError    (OSError)      Unavailable (worth retrying), PermissionDenied
    ├── NotConfigured                  no context, no remote, an extra that is not installed
    └── RunFailed                      TaskFailed, ContainerFailed, ApplyError

A message is one line that says what was wrong; the hint says how to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class DisdatError(Exception):
    """The root of every error this package raises on purpose."""

    kind = "error"

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class NotFound(DisdatError, LookupError):
    """Something that was named does not exist."""

    kind = "not-found"


class BundleNotFound(NotFound):
    """No bundle of this context matches; also raised as Disdat's ``CatNoBundleError``."""

    kind = "bundle-not-found"


class ContextNotFound(NotFound):
    """No context of this name is in the home."""

    kind = "context-not-found"

    def __init__(self, name: str, *, hint: str = "") -> None:
        super().__init__(f"no context named {name!r}", hint=hint or f"`dsdt context {name}` creates it")
        self.name = name


class ObjectNotFound(NotFound):
    """The bytes of this digest are not in the store."""

    kind = "object-not-found"


class RefNotFound(NotFound):
    """A reference such as ``name@-3`` names no version."""

    kind = "ref-not-found"


class PathNotFound(NotFound, FileNotFoundError, AssertionError):
    """
    A path of the user's does not exist.

    Also a FileNotFoundError, and the AssertionError that Disdat 0.8–1.x raised for it.
    """

    kind = "path-not-found"


class BucketNotFound(NotFound):
    """A bucket of a cloud's does not exist."""

    kind = "bucket-not-found"

    def __init__(self, bucket: str) -> None:
        super().__init__(f"there is no bucket {bucket!r}", hint="check the name, or make it; we never make buckets")
        self.bucket = bucket


class AlreadyExists(DisdatError):
    """Something of this name is there already."""

    kind = "already-exists"


class InvalidInput(DisdatError, ValueError):
    """What was given cannot be used; nothing was changed."""

    kind = "invalid-input"


class Unserializable(InvalidInput, TypeError):
    """A value that cannot be stored; :attr:`where` is its path inside the value, such as ``value['a'][3]``."""

    kind = "unserializable"

    def __init__(self, where: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"cannot store {where}: {reason}", hint=hint)
        self.where = where


class BadQuery(InvalidInput):
    """A filter, date, pattern or reference that cannot be read."""

    kind = "bad-query"


class BadName(InvalidInput):
    """A name that cannot name what it was given for."""

    kind = "bad-name"


class BadLinkError(InvalidInput):
    """A ``file://`` or ``s3://`` link that cannot be captured; the name is Disdat's."""

    kind = "bad-link"


class BundleClosed(InvalidInput, AssertionError):
    """
    A bundle that is closed or abandoned was asked for what only an open one can do.

    Also the AssertionError that Disdat 0.8–1.x raised for it.
    """

    kind = "bundle-closed"


class Conflict(DisdatError):
    """Somebody else changed the same thing."""

    kind = "conflict"


class MergeConflict(Conflict):
    """Both sides of a merge changed these paths."""

    kind = "merge-conflict"

    def __init__(self, paths: Iterable[str], *, hint: str = "") -> None:
        self.paths = tuple(paths)
        super().__init__(f"both sides changed {', '.join(self.paths)}", hint=hint)


class RefMoved(Conflict):
    """A ref no longer points where the caller thought."""

    kind = "ref-moved"

    def __init__(self, ref: str, *, expected: str | None, found: str | None, hint: str = "") -> None:
        super().__init__(f"{ref} is at {found}, not at {expected}", hint=hint)
        self.expected = expected
        self.found = found


class Corrupt(DisdatError):
    """Stored bytes are not what was written."""

    kind = "corrupt"


class DigestMismatch(Corrupt):
    """Bytes do not have the digest that names them."""

    kind = "digest-mismatch"

    def __init__(self, what: str, *, expected: str, found: str, hint: str = "") -> None:
        super().__init__(f"{what} is damaged: it should be {expected} but is {found}", hint=hint)
        self.expected = expected
        self.found = found


class UnknownFormat(Corrupt):
    """A format number or feature this version does not read."""

    kind = "unknown-format"

    def __init__(self, what: str, *, found: object, supported: object, hint: str = "") -> None:
        super().__init__(f"{what} has format {found}; this version reads {supported}", hint=hint)
        self.found = found
        self.supported = supported


class StorageError(DisdatError, OSError):
    """The disk or a store refused; what was there before is unchanged."""

    kind = "storage"


class Unavailable(StorageError):
    """A store does not answer now; trying again may help."""

    kind = "unavailable"


class PermissionDenied(StorageError, PermissionError):
    """The user may not read or write this."""

    kind = "permission-denied"


class NotConfigured(DisdatError):
    """A context, a remote or an optional package is needed first."""

    kind = "not-configured"


class RunFailed(DisdatError):
    """A task or a container did not succeed."""

    kind = "run-failed"


class TaskFailed(RunFailed):
    """One task raised."""

    kind = "task-failed"


class ContainerFailed(RunFailed):
    """A container exited with an error."""

    kind = "container-failed"


class ApplyError(RunFailed):
    """A pipeline run in which at least one task failed; :attr:`result` is what `apply` would have returned."""

    kind = "apply-failed"

    def __init__(self, message: str, result: Mapping[str, bool], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.result = dict(result)
