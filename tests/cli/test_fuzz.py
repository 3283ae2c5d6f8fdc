"""A sample of the fuzzer of command lines; the whole: python -m tests.cli.fuzz."""

from __future__ import annotations

import random

from tests.cli.fuzz import VALUES, fuzz


def test_any_command_line_is_run_or_refused_in_one_line() -> None:
    seed = random.randrange(10**6)  # another sample every time; a failure names its seed
    assert sum(fuzz(60, seed).values()) == 60


def test_no_value_names_a_path_that_a_command_could_damage() -> None:
    """The tests may run as root. Not even root can make a file or a folder in /proc."""
    assert [value for value in VALUES if value.startswith("/") and not value.startswith("/proc/")] == []
