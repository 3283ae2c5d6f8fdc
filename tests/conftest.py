"""The marker of the tests that run under a real mpirun (`tests/ranks.py`), which tests stay together where several processes run
them (`-n 2 --dist loadgroup`, pytest-xdist), and what holds for all property tests."""

import pytest
from hypothesis import settings

from tests.ranks import job_of

settings.register_profile("minipar", deadline=None)                 # a busy machine makes no property untrue
settings.load_profile("minipar")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mpi: runs under mpirun; fails, never skips, where there is none")
    config.addinivalue_line("markers", "xdist_group(name): tests that one process runs")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a job of ranks stay together, and so do the others of a file, which share fixtures."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(" ".join(map(str, job_of(item) or [item.path]))))
