"""What pipelines are written with: ``from disdat.pipe import PipeTask``."""

from __future__ import annotations

from disdat.pipeline.loading import load_class
from disdat.pipeline.params import parse as parse_params
from disdat.pipeline.task import PipeTask
from disdat.pipeline.uses import uses

__all__ = ["PipeTask", "load_class", "parse_params", "uses"]
