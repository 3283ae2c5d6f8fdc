"""The marker of the tests that run under a real mpirun (`tests/ranks.py`), what holds for all property tests,
and which tests stay together where several processes run them (`pytest -n 2`, pytest-xdist)."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

# The tests start some hundred processes. Without bytecode files each of them would compile all of minipar.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# a busy machine makes no property untrue
settings.register_profile("minipar", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("minipar")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mpi: runs under mpirun; fails, never skips, where there is none")


# Files of few and long tests. pytest-xdist starts the units with the fewest tests last. If each of these
# files were a unit, one process would wait at the end for the other one.
LONG = ("tests/cli/test_consoles.py", "tests/comm/collectives/test_lesson.py",
        "tests/elastic/test_processes.py", "tests/exercises/test_wheel.py",
        "tests/launcher/test_signals_to_the_launcher.py", "tests/proof/test_bits.py",
        "tests/checkpoint/test_kill.py", "tests/proof/test_findings.py", "tests/lessons/test_train_plain.py")


def unit_of(test: str) -> str:
    """Returns the unit of a test, which is given by its id. The tests of a unit stay in one process:
    all tests that share a job of ranks, the files of LONG, or the tests of another file.
    """
    path, _, name = test.partition("::")
    job = re.search(r"\bmpi-\d+\b", name)
    return job[0] if job else "long" if path in LONG else path


@pytest.hookimpl(optionalhook=True)  # pytest asks for it only where pytest-xdist is there
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return Units(config, log)
