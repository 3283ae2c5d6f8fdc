"""The doctor's measurement of collectives gives the planner a machine."""

from __future__ import annotations

import threading
import time

import pytest

from minipar.comm.protocol import Communicator
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
    """Rank 1 computes for 3 ms longer than rank 0, so rank 0 waits for 3 ms in each call."""
    this = threading.local()
    monkeypatch.setattr(collective_calls, "compute", lambda numbers: time.sleep(3e-3 * this.rank))

    def program(comm: Communicator) -> dict[str, float]:
        this.rank = comm.rank
        return measure_calls(comm)

    assert 0 < run(2, program)[0]["call"] < 1.5e-3
