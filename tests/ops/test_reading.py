"""Reading a bundle touches nothing outside its directory, whoever wrote its manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.context import Context
from disdat.core import digest, event, manifest
from disdat.core.canonical import Json
from disdat.errors import Corrupt
from disdat.ops import bundles
from disdat.ops.bundles import Birth

UUID = "22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize("kind", ["directory", "file"])
@pytest.mark.parametrize("place", ["../../../../../elsewhere", "{tmp_path}/elsewhere", "a/../../elsewhere", "%2E%2E/b"])
def test_a_frame_that_leads_elsewhere_is_corrupt(context: Context, tmp_path: Path, kind: str, place: str) -> None:
    fields: dict[str, Json] = manifest.to_json(bundles.write(context, 1, Birth("n")))
    logical = f"tree1:{digest.of_bytes(b'')}"
    frame: dict[str, Json] = {"name": "", "kind": kind, "logical": logical, "form": "path"}
    fields |= {"uuid": UUID, "frames": [frame | {"path": place.format(tmp_path=tmp_path)}]}
    context.catalog.commit([event.added(UUID, digest.of_json(fields), fields)])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Corrupt):
        bundles.value(context, UUID)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []
