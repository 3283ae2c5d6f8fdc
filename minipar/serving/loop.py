"""Runs the engine in its own thread. Only this thread calls `add`, `step` and `cancel` of the engine.

Other threads append orders to a list, such as "add this request" or "cancel that request". Between two steps,
the engine's thread executes all orders. It never waits for a client: it passes each new token to a function,
and this function must return at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import perf_counter

from minipar.errors import MiniparError
from minipar.inference.engine import Engine
from minipar.inference.requests import NewToken, TextRequest
from minipar.serving.http import HttpError
from minipar.serving.metrics import ServerMetrics

Delivery = NewToken | MiniparError


@dataclass(eq=False)
class Ticket:
    """An accepted request. deliver: a function that the engine's thread calls with each new token, or with
    the error that ends the request.
    """

    request: TextRequest
    deliver: Callable[[Delivery], object]
    accepted: float = field(default_factory=perf_counter)           # time in seconds
    number: int | None = None                                       # the number in the engine
    unfinished: int = 1                                             # number of unfinished samples
    started: bool = False


class EngineLoop:
    """Serves requests until `end` is called. queue: the largest number of requests that wait or run. An error
    of the engine that is not a MiniparError is a bug. Then the engine's thread ends, `failure` holds the
    error, and `failed` is called once.
    """

    def __init__(self, engine: Engine, queue: int, metrics: ServerMetrics,
                 failed: Callable[[], object] = lambda: None):
        self.engine, self.metrics = engine, metrics
        self.failure: BaseException | None = None
        self.pending = 0                                            # number of unfinished requests
        self._queue, self._failed = queue, failed
        self._changed = Condition()
        self._orders: list[tuple[str, Ticket]] = []
        self._active: dict[int, Ticket] = {}
        self._refusal: Callable[[], HttpError] | None = None  # makes the error for new requests
        self._ending = False
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request: TextRequest, deliver: Callable[[Delivery], object]) -> Ticket:
        """Add a request. Raises HttpError if the queue is full, or if the loop is ending. Raises the errors
        of `Engine.check`.
        """
        self.engine.check(request)
        ticket = Ticket(request, deliver, unfinished=request.samples)
        with self._changed:
            if self._refusal is not None:
                raise self._refusal()
            if self.pending >= self._queue:
                raise HttpError(f"{self.pending} requests wait or run, as many as the limit; try again later",
                                status=429, code="queue_full")
            self.pending += 1
            self._order("add", ticket)
        self.metrics.count("prompt_tokens_total", len(request.prompt))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a request, for example because its client has closed the connection. A finished request is
        ignored.
        """
        with self._changed:
            self._order("cancel", ticket)

    def refuse_new(self, refusal: Callable[[], HttpError]) -> None:
        """Refuse further requests. Accepted requests continue. refusal: returns the error for a refused
        request.
        """
        with self._changed:
            self._refusal = self._refusal or refusal

    def end(self, refusal: Callable[[], HttpError]) -> None:
        """End the thread after the current step. Unfinished requests receive the error that `refusal`
        returns.
        """
        with self._changed:
            self._refusal, self._ending = refusal, True
            self._changed.notify()
        self._thread.join()

    def _order(self, what: str, ticket: Ticket) -> None:
        self._orders.append((what, ticket))
        self._changed.notify()

    def _run(self) -> None:
        try:
            while self._take_orders():
                self._step()
        except BaseException as error:  # a bug: all clients and the server receive the error
            self.failure = error
            text = f"the server has failed: {type(error).__name__}"
            self.refuse_new(lambda: HttpError(text, status=500, code="internal_error"))
            self._failed()
        with self._changed:
            waiting = [ticket for what, ticket in self._orders if what == "add"]
            self._orders.clear()
        refusal = self._refusal
        if refusal is not None:
            self._give_up([*self._active.values(), *waiting], refusal)

    def _take_orders(self) -> bool:
        """Wait for work, and execute all orders. Returns False if the loop must end."""
        with self._changed:
            self._changed.wait_for(lambda: self._orders or self._ending or self.engine.busy)
            if self._ending:
                return False
            orders, self._orders = self._orders, []
        for what, ticket in orders:
            if what == "add":
                ticket.number = self.engine.add(ticket.request)
                self._active[ticket.number] = ticket
            elif ticket.number in self._active:
                self.engine.cancel(ticket.number)
                self._finish(ticket)
        return True

    def _step(self) -> None:
        try:
            tokens = self.engine.step()
        except MiniparError as error:  # for example, the logits are not finite
            for number in self._active:
                self.engine.cancel(number)
            text = str(error)
            self._give_up(list(self._active.values()),
                          lambda: HttpError(text, status=500, code="engine_error"))
            return
        self.metrics.count("tokens_total", len(tokens))
        for new in tokens:
            ticket = self._active[new.request]
            if not ticket.started:
                ticket.started = True
                self.metrics.observe("first_token_seconds", perf_counter() - ticket.accepted)
            if new.finished:
                ticket.unfinished -= 1
                if not ticket.unfinished:
                    self.metrics.observe("request_seconds", perf_counter() - ticket.accepted)
                    self._finish(ticket)
            ticket.deliver(new)

    def _give_up(self, tickets: list[Ticket], refusal: Callable[[], HttpError]) -> None:
        for ticket in tickets:
            self._finish(ticket)
            ticket.deliver(refusal())

    def _finish(self, ticket: Ticket) -> None:
        if ticket.number is not None:
            del self._active[ticket.number]
        with self._changed:
            self.pending -= 1
