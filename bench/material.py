"""What is stored: files, small values and a frame, the same for every contender. Imports only the standard library."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most contenders have no pandas, and most workloads need none
    import pandas as pd

CHUNK = 8 << 20
WANTED_NAME = "name_1"
WANTED_TAG = {"k": "1"}


def files(root: Path, kind: str, *, count: int, size_bytes: int) -> Path:
    """A directory of *count* distinct incompressible files, a hundred per subdirectory; made once."""
    directory = root / f"{kind}-{count}-{size_bytes}"
    done = directory.with_suffix(".done")
    if not done.exists():
        shutil.rmtree(directory, ignore_errors=True)
        rng = random.Random(7)
        for number in range(count):
            parent = directory / f"d{number // 100:03}"
            parent.mkdir(parents=True, exist_ok=True)
            with (parent / f"f{number:05}.bin").open("wb") as file:
                for start in range(0, size_bytes, CHUNK):
                    file.write(rng.randbytes(min(CHUNK, size_bytes - start)))
        done.touch()
    return directory


def first_file(directory: Path) -> Path:
    """The one file that there is of the kind ``big``."""
    return directory / "d000" / "f00000.bin"


def below(directory: Path) -> Iterator[Path]:
    """Every file below a directory."""
    for parent, _, names in os.walk(directory):
        for name in names:
            yield Path(parent, name)


def bytes_below(directory: Path) -> int:
    """The sizes of the files below a directory, one inode once."""
    found = {(st.st_dev, st.st_ino): st.st_size for st in map(os.lstat, below(directory))}
    return sum(found.values())


def small_values(
    count: int, *, names: int, tags: int
) -> Iterator[tuple[str, dict[str, str], dict[str, int | float | str | bool]]]:
    """Name, tags and value of *count* bundles, of *names* names and *tags* values of the tag ``k``."""
    for i in range(count):
        value: dict[str, int | float | str | bool] = {"i": i, "x": i * 0.5, "s": f"value {i}", "ok": i % 2 == 0}
        yield f"name_{i % names}", {"k": str(i % tags), "idx": str(i)}, value


def frame(rows: int, *, seed: int = 7) -> pd.DataFrame:
    """Eight columns: four of floats, two of integers, a time and a text of few values; of each *seed* others."""
    import numpy as np  # only contenders that have it are asked for frames
    import pandas as pd  # likewise

    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {f"f{i}": rng.standard_normal(rows) for i in range(4)}
    columns["i0"] = rng.integers(0, 1 << 40, rows)
    columns["i1"] = np.arange(rows)
    columns["t"] = np.datetime64("2020-01-01", "ns") + rng.integers(0, 10**9, rows).astype("timedelta64[us]")
    words = np.array(["alpha", "beta", "gamma", "delta", "epsilon"], dtype=object)
    columns["s"] = words[rng.integers(0, 5, rows)]
    return pd.DataFrame(columns)


def keyed(rows: int, *, changed: bool) -> pd.DataFrame:
    """A key, six columns of floats and a text; *changed* in three cells."""
    import numpy as np  # only contenders that have it are asked for frames
    import pandas as pd  # likewise

    rng = np.random.default_rng(7)
    columns: dict[str, object] = {"key": np.arange(rows)}
    columns |= {f"f{i}": rng.standard_normal(rows) for i in range(6)}
    columns["text"] = [f"text {number * 7919 % rows}" for number in range(rows)]
    made = pd.DataFrame(columns)
    if changed:
        made.loc[rows // 10, "f1"] = 7.0
        made.loc[rows // 2, "text"] = "changed"
        made.loc[rows - 1, "f5"] = 7.0
    return made
