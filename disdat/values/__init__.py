"""Python values and the frames that store them. Importing this imports neither numpy, pandas nor pyarrow."""

from __future__ import annotations

from disdat.values.frames import dump, load
from disdat.values.markers import Pickled, Text, text
from disdat.values.serializer import SERIALIZERS, Blob, Serializer, Sink, Source

__all__ = ["dump", "load", "text", "Text", "Pickled", "Sink", "Source", "Blob", "Serializer", "SERIALIZERS"]
