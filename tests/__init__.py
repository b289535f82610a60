"""Tests, laid out like the package; a helper beside them is imported as ``tests.<package>.<module>``."""
