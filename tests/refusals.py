"""Checks an error of minipar by its facts and a few key words, not by its sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from minipar.errors import MiniparError


@contextmanager
def refused(kind: type[MiniparError], /, *words: str, **facts: object) -> Iterator[None]:
    """The block must raise an error of this kind that has these facts. Its message must be one line and
    contain all words.
    """
    with pytest.raises(kind) as caught:
        yield
    error, said = caught.value, str(caught.value)
    assert {name: error.facts.get(name) for name in facts} == facts
    assert "\n" not in said and all(word in said for word in words), said
