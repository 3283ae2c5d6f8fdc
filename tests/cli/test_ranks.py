"""Options that belong to every command that runs on ranks."""

from __future__ import annotations

import argparse
import time

import numpy as np
import pytest

from minipar.cli.ranks import add_layout_options, on_ranks
from minipar.comm.protocol import Communicator
from minipar.errors import CommError
from tests.refusals import refused


def late(world: Communicator) -> int:
    """Rank 0 computes for a second before it sends what rank 1 waits for."""
    if world.rank == 0:
        time.sleep(1)
        world.send(np.zeros(1), 1, label="late")
    else:
        world.recv(np.empty(1), 0, label="late")
    return 0


@pytest.mark.parametrize("words", ["--timeout 0.1", ""])
def test_threads_wait_as_long_as_they_are_told(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    parser = argparse.ArgumentParser()
    add_layout_options(parser)
    options = parser.parse_args(["--dp", "2", "--engine", "threads", *words.split()])
    if not words:
        assert on_ranks(options, late) == 0
        monkeypatch.setenv("MINIPAR_TIMEOUT", "0.1")
    with refused(CommError, kind="timeout", seconds=0.1):
        on_ranks(options, late)
