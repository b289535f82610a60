"""Whatever is done to a home in whatever order, and wherever it is cut short, it is what its users were told."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import HomeMachine

SHORT = settings(max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(SHORT, max_examples=600, stateful_step_count=60, phases=set(Phase) - {Phase.explain})


@pytest.mark.slow
def test_a_home_is_what_its_users_were_told() -> None:
    run_state_machine_as_test(HomeMachine, settings=SHORT)


@pytest.mark.soak
def test_a_home_is_what_its_users_were_told_at_length() -> None:
    run_state_machine_as_test(HomeMachine, settings=LONG)
