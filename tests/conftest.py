"""The marker of the tests that run under a real mpirun (`tests/ranks.py`)."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mpi: runs under mpirun; fails, never skips, where there is none")
