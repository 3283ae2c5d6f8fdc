"""Every classic bug of asynchronous, local and elastic training is detected first by the check that it names.
"""

from __future__ import annotations

import pytest

from minipar.proof.loose import CHECKS, first_failed_check
from minipar.proof.loose_mutants import LOOSE_MUTANTS


@pytest.mark.parametrize("name", LOOSE_MUTANTS)
def test_a_bug_is_detected_by_its_check(name: str) -> None:
    with LOOSE_MUTANTS[name].planted():
        assert first_failed_check() == LOOSE_MUTANTS[name].check


def test_the_right_program_passes_every_check() -> None:
    assert first_failed_check() is None


def test_the_bugs_tell_their_stories() -> None:
    assert len(LOOSE_MUTANTS) >= 16
    assert all(len(bug.story) > 40 and bug.story.endswith(".") for bug in LOOSE_MUTANTS.values())
    assert {bug.check for bug in LOOSE_MUTANTS.values()} == CHECKS.keys() - {"in flight"}
