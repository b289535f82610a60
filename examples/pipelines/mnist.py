"""
Three tasks over real images: get handwritten digits, train a classifier on half of them, evaluate it on the rest.

Run it from the directory above, ``dsdt apply pipelines.mnist.Evaluate --gamma 0.01``, or as a script. What is up to
date is used again: run it twice and the second time does nothing; change gamma and only what depends on it runs.

The digits are the 1,797 that scikit-learn has, of 8 by 8 pixels. With ``--images DIR`` they are those of the four
files of MNIST in that directory, gzipped or not: 70,000 of 28 by 28 pixels, for which ``--gamma 0.0001`` is better.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import confusion_matrix
from sklearn.metrics.pairwise import rbf_kernel

from disdat.pipe import PipeTask

DIGITS = list(range(10))
MOST = 6_000
"""So many images are learned from, at most: what that takes grows with the cube."""
PARTS = ("train", "t10k")
BYTES = 0x08
"""What an IDX file calls the type of values that are bytes."""


class GetData(PipeTask):
    """The images, 8 by 8 pixels of 17 greys, and which digit each one shows; ``learn`` of them are to learn from."""

    def pipe_run(self) -> dict[str, Any]:
        digits = load_digits()
        return {
            "images": digits.images.astype(np.uint8),
            "labels": digits.target,
            "learn": len(digits.target) // 2,
        }


class GetFiles(PipeTask):
    """
    The same of the files of MNIST.

    It does not matter where these are, but what is in them: so their digest is a parameter that counts.
    """

    directory = luigi.Parameter(significant=False)
    digest = luigi.Parameter()

    def pipe_run(self) -> dict[str, Any]:
        directory = Path(self.directory)
        images = [read_idx(idx_file(directory, f"{part}-images", 3)) for part in PARTS]
        labels = [read_idx(idx_file(directory, f"{part}-labels", 1)) for part in PARTS]
        return {"images": np.concatenate(images), "labels": np.concatenate(labels), "learn": len(labels[0])}


class Train(PipeTask):
    """A kernel ridge classifier of the images to learn from; its coefficients are all there is to it."""

    gamma = luigi.FloatParameter(default=0.001)
    images = luigi.Parameter(default="", significant=False, description="directory of the files of MNIST")

    def pipe_requires(self) -> None:
        self.add_dependency("data", *source(self.images))

    def pipe_run(self, data: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        learn = min(data["learn"], MOST)
        seen = pixels(data["images"][:learn])
        wanted = np.eye(len(DIGITS))[data["labels"][:learn]]
        model = KernelRidge(alpha=0.1, kernel="rbf", gamma=self.gamma).fit(seen, wanted)
        return {"seen": seen, "coefficients": model.dual_coef_}


class Evaluate(PipeTask):
    """How often each digit of the other images was taken for which; the accuracy is a tag."""

    gamma = luigi.FloatParameter(default=0.001)
    images = luigi.Parameter(default="", significant=False, description="directory of the files of MNIST")

    def pipe_requires(self) -> None:
        self.add_dependency("data", *source(self.images))
        self.add_dependency("model", Train, {"gamma": self.gamma, "images": self.images})

    def pipe_run(self, data: Mapping[str, Any], model: Mapping[str, np.ndarray[Any, Any]]) -> pd.DataFrame:
        shown, labels = pixels(data["images"][data["learn"] :]), data["labels"][data["learn"] :]
        alike = rbf_kernel(shown, model["seen"], gamma=self.gamma)
        taken_for = (alike @ model["coefficients"]).argmax(axis=1)
        self.add_tags({"accuracy": f"{(taken_for == labels).mean():.3f}"})
        table = pd.DataFrame(
            confusion_matrix(labels, taken_for, labels=DIGITS), columns=[str(digit) for digit in DIGITS]
        )
        table.index = pd.Index(DIGITS, name="digit")
        return table


def source(images: str) -> tuple[type[PipeTask], dict[str, object]]:
    """The task that gets the images, and its parameters."""
    if not images:
        return GetData, {}
    directory = Path(images).resolve()
    files = [
        idx_file(directory, f"{part}-{kind}", rank) for part in PARTS for kind, rank in (("images", 3), ("labels", 1))
    ]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return GetFiles, {"directory": str(directory), "digest": hashlib.sha256("".join(digests).encode()).hexdigest()}


def idx_file(directory: Path, name: str, rank: int) -> Path:
    """The file *name* of MNIST, however whoever unpacked it spells it."""
    found = sorted(directory.glob(f"{name}[-.]idx{rank}-ubyte*"))
    if not found:
        raise FileNotFoundError(f"{directory} has no file {name}-idx{rank}-ubyte or {name}-idx{rank}-ubyte.gz")
    return found[0]


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """
    The bytes in an IDX file, in their shape.

    It begins with two zeros, the type of its values and how many dimensions there are; the length of each follows as
    four bytes, the highest first; then all values.
    """
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if content[:3] != bytes([0, 0, BYTES]):
        raise ValueError(f"{path} is no IDX file of bytes")
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def pixels(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One row of pixels per image, from 0 to 16 each, as scikit-learn's are."""
    rows: np.ndarray[Any, Any] = images.reshape(len(images), -1).astype(np.float64)
    return rows * (16 / 255) if images.max() > 16 else rows


if __name__ == "__main__":
    from disdat import api

    api.context("mnist")
    done = api.apply("mnist", Evaluate)
    print("ran" if done["did_work"] else "there was nothing to do")
    bundle = api.get("mnist", "Evaluate")
    assert bundle is not None
    print(bundle.data)
    print("accuracy", bundle.tags["accuracy"])
