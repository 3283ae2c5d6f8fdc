"""The doctor's measurement of collectives gives the planner a machine."""

from __future__ import annotations

import pytest

from minipar.comm.threads import run
from minipar.doctor import collective_calls
from minipar.doctor.collective_calls import best_of, measure_calls
from minipar.plan.machine import machine
from minipar.trace.measure_machine import with_links


def test_the_planner_gets_what_two_ranks_measure() -> None:
    measured = run(2, measure_calls)[0] | {"alpha": 5e-6}
    assert 0 < measured["call"] < 1 and 1e8 < measured["memory_rate"] < 1e13
    found = with_links(machine("laptop"), measured)
    assert found.call_overhead == found.call == measured["call"]
    assert found.memory_rate == measured["memory_rate"] and found.within.latency == 5e-6
    assert found.within.bandwidth == pytest.approx(1 / measured["stream"])


def test_the_best_of_several_measurements() -> None:
    measured = [{"call": 3.0, "memory_rate": 5.0}, {"call": 2.0, "memory_rate": 4.0}]
    assert best_of(measured) == {"call": 2.0, "memory_rate": 5.0}


def test_the_wait_for_a_slower_rank_is_no_cost_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 1 computes for 3 ms longer than rank 0, so rank 0 waits for 3 ms in each call. The times are given
    in ms by rank, so that the load of the machine does not matter.
    """
    times = {"computation": (1.0, 4.0), "both": (4.1, 4.2), "call": (0.1, 0.1)}
    monkeypatch.setattr(collective_calls, "_block", lambda comm, work: times[work.__name__][comm.rank])

    def call() -> None:
        """This call is not made, since its time is given."""

    assert run(2, collective_calls._call_seconds, call) == pytest.approx([0.2, 0.2])
    times["call"] = 0.3, 0.25
    assert run(2, collective_calls._call_seconds, call) == pytest.approx([0.3, 0.3])
