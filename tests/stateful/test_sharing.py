"""Whatever homes do to a remote, cut off and asleep wherever they may be: what is published never lacks a byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.sharing import SharingMachine

SHORT = settings(max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=300, stateful_step_count=40, phases=set(Phase) - {Phase.explain})


@pytest.mark.slow
def test_what_is_published_never_lacks_a_byte() -> None:
    run_state_machine_as_test(SharingMachine, settings=SHORT)


@pytest.mark.soak
def test_what_is_published_never_lacks_a_byte_at_length() -> None:
    run_state_machine_as_test(SharingMachine, settings=LONG)
