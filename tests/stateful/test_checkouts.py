"""Whatever is checked out into a directory that a user works in, and wherever that is cut short, he loses nothing."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.checkouts import CheckoutMachine
from tests.stateful.test_homes import LONG, SHORT


@pytest.mark.slow
def test_a_directory_is_what_its_user_was_told() -> None:
    run_state_machine_as_test(CheckoutMachine, settings=SHORT)


@pytest.mark.soak
def test_a_directory_is_what_its_user_was_told_at_length() -> None:
    run_state_machine_as_test(CheckoutMachine, settings=LONG)
