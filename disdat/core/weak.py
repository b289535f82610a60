"""
Weak identity: what a store vouches for of a file whose bytes nobody here has read.

It names the file by a digest as the bytes would, so that all that goes by digests goes on: where a file is needed,
where it lies, whether it is here. That digest equals the one of no bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.core.digest import Digest, of_bytes
from disdat.errors import InvalidInput

if TYPE_CHECKING:  # every tree is read with this module, and few have anything of OpenSSL's to do
    from disdat.core.checksum import Checksum

SMALLEST_BYTES = 64 << 10
"""A file of fewer is always known by its bytes: packs have nothing else to know it by."""

_PARTS = "-[1-9][0-9]{0,4}"
_FORMS = {
    "etag": re.compile(f"(?!0{{32}})[0-9a-f]{{32}}({_PARTS})?"),
    "sha256": re.compile(f"([A-Za-z0-9+/]{{43}}=({_PARTS})?)?"),
    "crc64nvme": re.compile("([A-Za-z0-9+/]{11}=)?"),
}


@dataclass(frozen=True, slots=True)
class Weak:
    """The etag of an object, without quotes, and a checksum, as S3 writes it, where the store keeps one."""

    etag: str
    sha256: str = ""
    crc64nvme: str = ""

    @classmethod
    def of(cls, etag: str, checksum: Checksum | None) -> Self | None:
        """What is told of an object; None where its etag is not one as S3 makes them, and may be that of others too."""
        told = {} if checksum is None else {checksum.algorithm: str(checksum)}
        found = cls(etag.strip('"'), **told)
        return found if found._is_one else None

    @classmethod
    def from_json(cls, fields: Json) -> Self:
        """Read what :meth:`to_json` wrote; InvalidInput if it is not that."""
        try:
            found = cls(**cast("Mapping[str, Any]", fields))
            if found._is_one and found.to_json() == fields:
                return found
        except TypeError as exc:
            raise InvalidInput(f"not a weak identity: {fields!r}") from exc
        raise InvalidInput(f"not a weak identity: {fields!r}")

    def to_json(self) -> dict[str, Json]:
        """It as it stands in a manifest and in a publication."""
        return {name: text for name, text in asdict(self).items() if text}

    def digest(self, size_bytes: int) -> Digest:
        """What names a file of so many bytes that is known by this."""
        return of_bytes(b"weak1" + canonical.encode({**self.to_json(), "size": size_bytes}))

    def check_names(self, digest: Digest, size_bytes: int) -> None:
        """InvalidInput unless *digest* is that of a file of so many bytes that may be known by this."""
        if size_bytes < SMALLEST_BYTES or self.digest(size_bytes) != digest:
            raise InvalidInput(f"{digest} is not what the weak identity of {size_bytes:,} bytes gives")

    @property
    def _is_one(self) -> bool:
        return all(form.fullmatch(getattr(self, name)) for name, form in _FORMS.items())
