"""Shipped for tests, ours and others': contracts an implementation must keep, and faults on demand."""
