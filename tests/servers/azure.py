"""A server of Azure's blobs: where it is, and whose key opens it."""

from __future__ import annotations

import base64
import email.utils
import hmac
import secrets
import urllib.request
from dataclasses import dataclass

API_VERSION = "2021-08-06"
EMPTY_HEADERS = "\n" * 12
"""What a signature says of the eleven standard headers, when there are none."""


@dataclass(frozen=True, slots=True)
class AzureServer:
    """What a client must know to reach a server as the owner of an account."""

    endpoint: str
    """With the account as its path."""
    account: str
    key: str

    def environment(self) -> dict[str, str]:
        """Return the variables that lead obstore here."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_ENDPOINT": self.endpoint,
            "AZURE_ALLOW_HTTP": "true",
        }

    def fresh_container(self) -> str:
        """Make a container whose name nobody has used, and return its name."""
        name = f"container-{secrets.token_hex(6)}"
        date = email.utils.formatdate(usegmt=True)
        place = f"/{self.account}/{self.account}/{name}\nrestype:container"
        stated = f"PUT{EMPTY_HEADERS}x-ms-date:{date}\nx-ms-version:{API_VERSION}\n{place}"
        headers = {
            "Authorization": f"SharedKey {self.account}:{self._signature(stated)}",
            "x-ms-date": date,
            "x-ms-version": API_VERSION,
        }
        url = f"{self.endpoint}/{name}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=30):
            return name

    def _signature(self, stated: str) -> str:
        digest = hmac.digest(base64.b64decode(self.key), stated.encode(), "sha256")
        return base64.b64encode(digest).decode()
