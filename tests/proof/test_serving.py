"""Every classic bug of a serving engine is detected first by the check that it names."""

from __future__ import annotations

import pytest

from minipar.proof.serving import CHECKS, first_failed_check
from minipar.proof.serving_mutants import SERVING_MUTANTS


@pytest.mark.parametrize("name", SERVING_MUTANTS)
def test_a_bug_is_detected_by_its_check(name: str) -> None:
    bug = SERVING_MUTANTS[name]
    before = [vars(change.owner).get(change.name) for change in bug.changes()]
    with bug.planted():
        assert first_failed_check() == bug.check
    assert [vars(change.owner).get(change.name) for change in bug.changes()] == before


def test_the_right_engine_passes_every_check() -> None:
    assert first_failed_check() is None


def test_the_bugs_are_as_many_as_promised_and_tell_their_stories() -> None:
    assert len(SERVING_MUTANTS) >= 20
    assert all(len(bug.story) > 40 and bug.story.endswith(".") for bug in SERVING_MUTANTS.values())
    assert {bug.check for bug in SERVING_MUTANTS.values()} == CHECKS.keys()
