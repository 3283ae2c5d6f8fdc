"""A job under mpirun that ends early: what it said becomes the error of the call at which it ended."""

from __future__ import annotations

import pytest

from minipar.exercises.catalogue import find
from minipar.exercises.check import whole
from minipar.exercises.tasks import CallResult, RankResult, graded_calls
from minipar.exercises.worker_process import problem

CALLS = graded_calls(find("ring_shift"), 1, [2])
DEADLOCK = (
    "CommError: rank 4 of 5: deadlock, rank 0 waits for itself: rank 0 waits in send(dest=0) at a.py:3\n"
)


@pytest.mark.parametrize("said, kind, words", [(DEADLOCK, "stuck", "deadlock"), ("", "died", "ended early"),
                                               ("rank 1 of 2 raised:\nValueError", "died", "ValueError"),
                                               ("CommError: the ranks of world do not agree", "comm",
                                                "agree"),
                                               (DEADLOCK + "still running after 150 s", "time", "150 s")])
@pytest.mark.parametrize("recorded", [0, 1])
def test_what_the_job_said(said: str, kind: str, words: str, recorded: int) -> None:
    results = [CallResult(CALLS[0], [RankResult(), None])] * recorded
    found = whole(results, CALLS, said)
    (_, error), = next(result.errors() for result in found if result.errors())
    assert error["kind"] == kind and words in error["text"] and "rank 4 of 5" not in error["text"]


def test_what_a_rank_has_told_says_more() -> None:
    told = CallResult(CALLS[0], [RankResult(error=problem("exception", "IndexError")), None])
    assert whole([told], CALLS, DEADLOCK)[0].errors()[0][1]["text"] == "IndexError"


def test_a_job_that_came_to_its_end_is_left_alone() -> None:
    results = [CallResult(call, [RankResult(), RankResult()]) for call in CALLS]
    assert not any(result.errors() for result in whole(results, CALLS, "a warning"))
