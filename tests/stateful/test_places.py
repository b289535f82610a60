"""Whatever is fetched, dropped, copied, removed and collected: no bundle that is present lacks a byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.places import PlacesMachine

SHORT = settings(max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=300, stateful_step_count=40, phases=set(Phase) - {Phase.explain})


@pytest.mark.slow
def test_no_bundle_lacks_a_byte() -> None:
    run_state_machine_as_test(PlacesMachine, settings=SHORT)


@pytest.mark.soak
def test_no_bundle_lacks_a_byte_at_length() -> None:
    run_state_machine_as_test(PlacesMachine, settings=LONG)
