"""Repeatable benchmarks: this project beside the machine's limits and its peers. Start with ``make bench``."""
