"""What travels between who plans and a worker of a cluster, which may share nothing with it but a remote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from disdat.core.canonical import Json
from disdat.pipeline.call import Call
from disdat.pipeline.outcome import Done
from disdat.remote.binding import Binding

Need = Literal["code", "inputs"]

_Fields = Mapping[str, Any]  # as it was written here


@dataclass(frozen=True, slots=True)
class Parcel:
    """A call, and what a worker needs to run it."""

    version: str
    """Of this package: that of the worker must be the same."""
    executor: str
    """Tells apart who sends calls; what workers keep for one of them is shared with no other."""
    topic: str
    """Under which what happens is told while the call runs."""
    call: Call
    setting: Mapping[str, Json]
    """How the sender's process is set up: see :func:`~disdat.pipeline.executors.worker.setting`."""
    home_id: str
    """Of the home of the call; a worker that has that home, too, works in it."""
    is_here: bool
    """Whether workers are threads of the sender's process."""
    binding: Binding | None
    """The remote of the context."""
    code: str
    """The name of the archive with the code; empty where all that runs is installed."""
    archive: bytes | None = None
    inputs: bytes | None = None
    """What :mod:`disdat.ops.staging` tells of the inputs."""

    def to_fields(self) -> dict[str, Any]:
        """As JSON, but for bytes: so that two versions of this package understand each other so far."""
        plain = {name: getattr(self, name) for name in Parcel.__slots__}
        return plain | {
            "call": self.call.to_json(),
            "setting": dict(self.setting),
            "binding": self.binding.to_json() if self.binding else None,
        }

    @classmethod
    def from_fields(cls, fields: _Fields) -> Parcel:
        binding = None if fields["binding"] is None else Binding.from_json(fields["binding"])
        return cls(**{**fields, "call": Call.from_json(fields["call"]), "binding": binding})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker sends back: how the call ended, or what it needs and has not."""

    done: Done | None = None
    made: bytes | None = None
    """What :mod:`disdat.ops.staging` tells of the bundle, where the sender does not have it."""
    needs: Sequence[Need] = ()
    worker: str = ""
    """The address of who needs that."""

    def to_fields(self) -> dict[str, Any]:
        return {
            "done": self.done.to_json() if self.done else None,
            "made": self.made,
            "needs": list(self.needs),
            "worker": self.worker,
        }

    @classmethod
    def from_fields(cls, fields: _Fields) -> Answer:
        done = None if fields["done"] is None else Done.from_json(fields["done"])
        return cls(done, fields["made"], tuple(fields["needs"]), fields["worker"])
