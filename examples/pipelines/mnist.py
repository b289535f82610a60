"""
Three tasks over real images: get 1,797 handwritten digits, train a classifier on half of them, evaluate it on the rest.

Run it from the directory above, ``dsdt apply pipelines.mnist.Evaluate --gamma 0.01``, or as a script. What is up to
date is used again: run it twice and the second time does nothing; change gamma and only what depends on it runs.
"""

from __future__ import annotations

from typing import Any

import luigi
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import confusion_matrix

from disdat.pipe import PipeTask

DIGITS = list(range(10))


class GetData(PipeTask):
    """The images, 8 by 8 pixels of 17 greys, and which digit each one shows."""

    def pipe_run(self) -> dict[str, np.ndarray[Any, Any]]:
        digits = load_digits()
        return {"images": digits.images.astype(np.uint8), "labels": digits.target}


class Train(PipeTask):
    """A kernel ridge classifier of the first half of the images; its coefficients are all there is to it."""

    gamma = luigi.FloatParameter(default=0.001)

    def pipe_requires(self) -> None:
        self.add_dependency("data", GetData, {})

    def pipe_run(self, data: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        half = len(data["labels"]) // 2
        seen = pixels(data["images"][:half])
        wanted = np.eye(len(DIGITS))[data["labels"][:half]]
        model = KernelRidge(alpha=0.1, kernel="rbf", gamma=self.gamma).fit(seen, wanted)
        return {"seen": seen, "coefficients": model.dual_coef_}


class Evaluate(PipeTask):
    """How often each digit of the second half was taken for which; the accuracy is a tag."""

    gamma = luigi.FloatParameter(default=0.001)

    def pipe_requires(self) -> None:
        self.add_dependency("data", GetData, {})
        self.add_dependency("model", Train, {"gamma": self.gamma})

    def pipe_run(self, data: dict[str, np.ndarray[Any, Any]], model: dict[str, np.ndarray[Any, Any]]) -> pd.DataFrame:
        half = len(data["labels"]) // 2
        shown, labels = pixels(data["images"][half:]), data["labels"][half:]
        distances = ((shown[:, None, :] - model["seen"][None, :, :]) ** 2).sum(axis=2)
        taken_for = (np.exp(-self.gamma * distances) @ model["coefficients"]).argmax(axis=1)
        self.add_tags({"accuracy": f"{(taken_for == labels).mean():.3f}"})
        table = pd.DataFrame(
            confusion_matrix(labels, taken_for, labels=DIGITS), columns=[str(digit) for digit in DIGITS]
        )
        table.index = pd.Index(DIGITS, name="digit")
        return table


def pixels(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One row of pixels per image."""
    rows: np.ndarray[Any, Any] = images.reshape(len(images), -1).astype(np.float64)
    return rows


if __name__ == "__main__":
    from disdat import api

    api.context("mnist")
    done = api.apply("mnist", Evaluate)
    print("ran" if done["did_work"] else "there was nothing to do")
    bundle = api.get("mnist", "Evaluate")
    assert bundle is not None
    print(bundle.data)
    print("accuracy", bundle.tags["accuracy"])
