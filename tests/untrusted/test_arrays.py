"""Ranks that are threads read headers at the same time."""

import io
import threading
import time
from typing import Any

import numpy as np
import pytest

from minipar.errors import CheckpointError
from minipar.untrusted import arrays
from minipar.untrusted.arrays import HEADER, read_header


def test_only_one_thread_parses_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at a time made a rank say that its file is damaged, in rare cases."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 4)))
    data, usual = stream.getvalue() + bytes(HEADER), arrays.READERS[1, 0]
    now: list[int] = []
    most: list[int] = []

    def slow(*given: Any, **options: Any) -> Any:
        now.append(1)
        most.append(len(now))
        time.sleep(0.01)
        now.pop()
        return usual(*given, **options)

    monkeypatch.setitem(arrays.READERS, (1, 0), slow)
    threads = [threading.Thread(target=read_header, args=(data, "x.npy", CheckpointError)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
