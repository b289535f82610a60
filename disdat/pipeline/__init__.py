"""Pipelines: tasks that make bundles, the decision to run or reuse, and the run itself. Luigi lives here only."""
