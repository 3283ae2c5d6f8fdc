"""The engine's thread: orders between steps, and every accepted request ended once."""

from __future__ import annotations

import time
from threading import Event, Thread

from minipar.inference.requests import NewToken, TextRequest
from minipar.serving.http import HttpError
from minipar.serving.loop import Delivery, EngineLoop
from minipar.serving.metrics import ServerMetrics
from tests.refusals import refused
from tests.serving.running import LIMIT, tiny_engine


def stopping() -> HttpError:
    return HttpError("the end", status=503, code="shutting_down")


def test_requests_that_the_engine_has_not_seen_are_refused_at_the_end() -> None:
    engine, entered, go_on = tiny_engine(), Event(), Event()
    step = engine.step

    def held_step() -> list[NewToken]:
        entered.set()
        assert go_on.wait(LIMIT)
        return step()

    engine.step = held_step  # type: ignore[method-assign]
    loop = EngineLoop(engine, 8, ServerMetrics())
    loop.start()
    first: list[Delivery] = []
    second: list[Delivery] = []
    loop.submit(TextRequest([1], 50), first.append)
    assert entered.wait(LIMIT)
    loop.submit(TextRequest([2], 50), second.append)                # while a step is computed
    end = Thread(target=loop.end, args=(stopping,))
    end.start()
    while not loop._ending:
        time.sleep(0.001)
    go_on.set()
    end.join(LIMIT)
    assert [type(one) for one in first] == [NewToken, HttpError] and [type(one) for one in second] == [
        HttpError
    ]
    assert loop.pending == 0
    with refused(HttpError, code="shutting_down"):
        loop.submit(TextRequest([1], 50), first.append)


def test_cancelled_requests_free_their_blocks_and_others_go_on() -> None:
    engine = tiny_engine()
    loop = EngineLoop(engine, 8, ServerMetrics())
    tickets = [loop.submit(TextRequest([1, 2], 10**6), lambda new: None) for _ in range(7)]
    got: list[Delivery] = []
    last = loop.submit(TextRequest([1, 2], 60), got.append)
    with refused(HttpError, code="queue_full"):
        loop.submit(TextRequest([1], 5), got.append)
    loop.start()
    for ticket in tickets:
        loop.cancel(ticket)
    ends = time.monotonic() + LIMIT
    while loop.pending and time.monotonic() < ends:
        time.sleep(0.005)
    assert loop.pending == 0 and len(got) == 60 and engine.memory.pool.in_use == 0
    loop.cancel(last)                                               # it has finished: nothing happens
    loop.end(stopping)
    assert loop.pending == 0 and loop.failure is None
