"""Serves one queue of requests with several replicas (copies) of a model: data-parallel inference.

Every rank of dp has its own replica and cache, and serves some of the requests. A request goes to the replica
with the fewest unfinished samples, as soon as this replica has room. All ranks receive all new tokens, so all
ranks know which requests are unfinished. They choose the same replica without further messages.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict

from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.inference.engine import Engine
from minipar.inference.requests import NewToken, TextRequest


class ReplicatedEngine:
    """An engine on all ranks of dp, with the interface of Engine. Each rank has its own engine. All ranks
    must make the same calls.
    """

    def __init__(self, engine: Engine, dp: Communicator):
        self.engine, self.dp = engine, dp
        self._added = 0
        self._queue: deque[tuple[int, TextRequest]] = deque()
        self._unfinished: dict[int, tuple[int, int]] = {}           # request -> (replica, unfinished samples)
        self._numbers: list[int] = []  # number of a request in this rank's engine -> on all ranks

    @property
    def busy(self) -> bool:
        """True while a request is unfinished."""
        return bool(self._queue or self._unfinished)

    def add(self, request: TextRequest) -> int:
        """Queue a request and return its number, like `Engine.add`."""
        self.engine.check(request)
        self._added += 1
        self._queue.append((self._added - 1, request))
        return self._added - 1

    def step(self) -> list[NewToken]:
        """Compute one forward pass on every replica that has a request. Returns the new tokens of all
        replicas on every rank.
        """
        self._distribute()
        own = [asdict(token) | {"request": self._numbers[token.request]} for token in self.engine.step()]
        tokens = [NewToken(**values | {"likely": tuple(map(tuple, values["likely"]))})
                  for rank in gathered(self.dp, own, "tokens") for values in rank]
        for token in tokens:
            if token.finished:
                replica, samples = self._unfinished.pop(token.request)
                if samples > 1:
                    self._unfinished[token.request] = replica, samples - 1
        return sorted(tokens, key=lambda token: (token.request, token.sample))

    def _distribute(self) -> None:
        while self._queue:
            loads = [0] * self.dp.size
            for replica, samples in self._unfinished.values():
                loads[replica] += samples
            number, request = self._queue[0]
            replica = loads.index(min(loads))
            if loads[replica] and loads[replica] + request.samples > self.engine.options.batch:
                return
            self._queue.popleft()
            self._unfinished[number] = replica, request.samples
            if replica == self.dp.rank:
                self.engine.add(request)
                self._numbers.append(number)
