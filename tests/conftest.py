"""The marker of the tests that run under a real mpirun (`tests/ranks.py`), and what holds for all property tests."""

import pytest
from hypothesis import settings

settings.register_profile("minipar", deadline=None)                 # a busy machine makes no property untrue
settings.load_profile("minipar")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mpi: runs under mpirun; fails, never skips, where there is none")
