"""Threads and processes that make bundles at once lose none."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from disdat import api

EACH = 15
WRITER = """
import sys
from disdat import api
for number in range({each}):
    api.Bundle("ctx", "data", (sys.argv[1], number), tags={{"writer": sys.argv[1]}})
"""


def make(writer):
    for number in range(EACH):
        with api.Bundle("ctx", "data", tags={"writer": writer}) as bundle:
            Path(bundle.get_file("note.txt")).write_text(writer)
            bundle.add_data((writer, number))


def check_all_are_there(writers):
    found = api.search("ctx", "data")
    assert sorted(bundle.data for bundle in found) == sorted((w, n) for w in writers for n in range(EACH))
    for writer in writers:
        mine = api.search("ctx", tags={"writer": writer})
        assert [bundle.data[1] for bundle in mine] == list(reversed(range(EACH)))
    assert len({bundle.creation_date for bundle in found}) == len(found)


def test_threads_make_bundles_at_once(ctx):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, "abcd"))
    check_all_are_there("abcd")


def test_processes_make_bundles_at_once(ctx):
    program = WRITER.format(each=EACH)
    running = [subprocess.Popen([sys.executable, "-c", program, writer]) for writer in "ab"]
    make("c")
    assert [each.wait(timeout=120) for each in running] == [0, 0]
    check_all_are_there("abc")


@pytest.mark.slow
def test_processes_make_the_first_context_of_a_home_at_once(home):
    program = "from disdat import api; api.context('ctx'); api.Bundle('ctx', 'data', 1)"
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [each.wait(timeout=120) for each in running] == [0, 0, 0]
    assert [bundle.data for bundle in api.search("ctx")] == [1, 1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_goes_on_with_what_its_parent_opened(ctx):
    api.Bundle(ctx, "before", 1)
    handle = api.get(ctx, "before")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        done = [pool.submit(make, writer) for writer in "ab"]
        assert pool.submit(api.cat, ctx, "before").result() == 1
        for each in done:
            each.result()
        assert pool.submit(type(handle).cat, handle).result() == 1
    check_all_are_there("ab")


def test_many_threads_read_one_bundle(ctx):
    api.Bundle(ctx, "data", list(range(1000)))
    bundle = api.get(ctx, "data")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: sum(bundle.cat()) + sum(bundle.data), range(40))) == {999_000}
