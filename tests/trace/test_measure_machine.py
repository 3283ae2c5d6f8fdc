"""`minipar plan --calibrate`: one rank is measured with one core, and two ranks measure the link."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from minipar.launcher.launch import BLAS_THREADS
from minipar.plan.machine import machine
from minipar.trace import measure_machine as module

SECONDS = [
    0.05,
    0.2,
]  # faster than the peak of this machine file, as if other programs had disturbed its measurement
LINKS = {"alpha": 4e-6, "beta": 1e-10, "gamma": 2e-11, "call": 9e-5, "stream": 4e-10, "memory_rate": 2e10}


def test_products_use_one_core_like_those_of_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many ranks as cores, a rank has one core. Before, the products of the calibration used all
    cores.
    """
    asked: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        asked.update(options)
        answer = {"machine": machine("laptop").to_dict(), "seconds": SECONDS}
        return SimpleNamespace(stdout=json.dumps(answer))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(module, "measured_links", lambda host: LINKS)
    found = module.measure_machine()
    assert {asked["env"][name] for name in BLAS_THREADS} == {"1"}
    assert (found.call, found.memory_rate, found.within.latency) == (9e-5, 2e10, 4e-6)
    assert (
        found.within.bandwidth == pytest.approx(2.5e9)
        and found.calibration
        and found.peak >= found.rate > machine("laptop").rate
    )
