"""Computes whole texts with an engine, for callers that do not need single tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from minipar.inference.requests import NewToken, TextRequest


@dataclass
class Completion:
    """One complete sample (text) of a request. finished: "stop" or "length". logprobs: the log-probability of
    each token, or [] if the request does not ask for them.
    """

    tokens: list[int]
    text: str
    finished: str
    logprobs: list[float]


class StepEngine(Protocol):
    """The interface that Engine, ReplicatedEngine and HandoverEngine share."""

    @property
    def busy(self) -> bool: ...

    def add(self, request: TextRequest) -> int: ...

    def step(self) -> list[NewToken]: ...


def complete(engine: StepEngine, requests: Iterable[TextRequest]) -> list[list[Completion]]:
    """Compute all requests together. Returns the samples of each request.

    >>> import minipar as mp
    >>> from minipar.inference.completion import complete
    >>> from minipar.inference.engine import Engine
    >>> from minipar.inference.requests import TextRequest
    >>> engine = Engine(mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4)))
    >>> [[len(sample.tokens) for sample in samples] for samples in complete(
    ...     engine, [TextRequest([1, 2], max_tokens=3), TextRequest([3], max_tokens=2, samples=2)])]
    [[3], [2, 2]]
    """
    numbers = [engine.add(request) for request in requests]
    found: dict[int, dict[int, Completion]] = defaultdict(dict)
    while engine.busy:
        for new in engine.step():
            one = found[new.request].setdefault(new.sample, Completion([], "", "", []))
            one.tokens.append(new.token)
            one.text += new.text
            one.finished = new.finished or ""
            if new.logprob is not None:
                one.logprobs.append(new.logprob)
    return [[sample for _, sample in sorted(found[number].items())] for number in numbers]
