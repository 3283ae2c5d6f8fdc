"""The doctor's measurement of collectives gives the planner a machine."""

from __future__ import annotations

import pytest

from minipar.comm.threads import run
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
