"""The marker of the tests that run under a real mpirun (`tests/ranks.py`), what holds for all property tests,
and which tests stay together where several processes run them (`pytest -n 2`, pytest-xdist)."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

# The tests start some hundred processes. Without bytecode files each of them would compile all of minipar.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("minipar", deadline=None)                 # a busy machine makes no property untrue
settings.load_profile("minipar")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mpi: runs under mpirun; fails, never skips, where there is none")


def unit_of(test: str) -> str:
    """What a test, by its id, stays together with: all that share its job of ranks, or the others of its
    file.
    """
    path, _, name = test.partition("::")
    job = re.search(r"\bmpi-\d+\b", name)
    return job[0] if job else path


@pytest.hookimpl(optionalhook=True)  # pytest asks for it only where pytest-xdist is there
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return Units(config, log)
