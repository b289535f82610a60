"""What happened in a context, and how things are found in it: the log, and the catalog that indexes it."""
