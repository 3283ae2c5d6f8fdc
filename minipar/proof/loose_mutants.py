"""Defines classic bugs of asynchronous, local and elastic training. A check of loose.py must detect each bug.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minipar.asynchronous import local_sgd, merge
from minipar.asynchronous.local_sgd import Outer
from minipar.asynchronous.parameter_server import Server
from minipar.proof import loose
from minipar.proof.mutants.mutant import Change, PlantedBug
from minipar.training.trainer import Trainer

LOOSE_MUTANTS: dict[str, PlantedBug] = {}


def loose_mutant(check: str) -> Callable[[Callable[[], list[Change]]], PlantedBug]:
    """Returns a decorator that makes a PlantedBug. It decorates a function that returns the changes of the
    bug. The function's docstring becomes the bug's story. check: the first check of loose.py that fails.
    """
    def decorate(changes: Callable[[], list[Change]]) -> PlantedBug:
        name, story = changes.__name__.replace("_", "-"), " ".join((changes.__doc__ or "").split())
        LOOSE_MUTANTS[name] = PlantedBug(name, story, check, changes)
        return LOOSE_MUTANTS[name]
    return decorate


def _restored(then: Callable[[Trainer], None]) -> list[Change]:
    """Returns a change of Trainer.restore: after the state is restored, it calls `then(trainer)`."""
    original = Trainer.restore

    def restore(trainer: Trainer, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any],
                where: object) -> None:
        original(trainer, arrays, meta, where)
        then(trainer)
    return [Change(Trainer, "restore", restore)]


@loose_mutant("synchronous")
def mean_on_the_server() -> list[Change]:
    """A synchronous server averages the gradients of the workers instead of adding them.
    """
    original = Server.apply

    def apply(server: Server, gradient: np.ndarray, staleness: int) -> None:
        share = len(server.workers) if server.options.synchronous else 1
        original(server, gradient / share, staleness)
    return [Change(Server, "apply", apply)]


@loose_mutant("replayed")
def staleness_off_by_one() -> list[Change]:
    """The server counts the current update as one of the updates since the pull."""
    original = Server.staleness
    return [Change(Server, "staleness", lambda server, push: original(server, push) + 1)]


@loose_mutant("replayed")
def last_update_dropped() -> list[Change]:
    """The server does not apply the last gradient that arrives."""
    original = Server.apply

    def apply(server: Server, gradient: np.ndarray, staleness: int) -> None:
        gradients = len(server.workers) * server.options.steps
        if server.options.synchronous or sum(server.steps_done) < gradients - 1:
            original(server, gradient, staleness)
    return [Change(Server, "apply", apply)]


@loose_mutant("replayed")
def first_weights_for_ever() -> list[Change]:
    """The asynchronous server answers every pull with the initial weights."""
    original = Server.answer

    def answer(server: Server, worker: int, time: float) -> None:
        newest = server.weights
        if not server.options.synchronous:
            server.weights = loose.START
        original(server, worker, time)
        server.weights = newest
    return [Change(Server, "answer", answer)]


@loose_mutant("replayed")
def latest_gradient_first() -> list[Change]:
    """The server applies the newest of the arrived gradients first, instead of the oldest."""
    return [Change(Server, "earliest", lambda server: max(server.arrived,
                                                          key=lambda one: (server.arrived[one].time, one)))]


@loose_mutant("bound")
def bound_off_by_one() -> list[Change]:
    """A worker may be one step further ahead of the slowest worker than the bound allows."""
    return [Change(Server, "may_go_on", lambda server, worker: server.options.bound is None
                   or server.steps_done[worker] <= min(server.steps_done) + server.options.bound + 1)]


@loose_mutant("local")
def sign_of_the_pseudo_gradient() -> list[Change]:
    """The outer step has the wrong sign: it uses (average - outer weights) instead of (outer weights -
    average).
    """
    original = Outer.step
    return [Change(Outer, "step",
                   lambda outer, weights, pseudo, span: original(outer, weights, -pseudo, span))]


@loose_mutant("local")
def own_weights_after_the_outer_step() -> list[Change]:
    """The outer weights are updated, but every rank continues from its own local weights."""
    original = local_sgd.synchronise

    def synchronise(comm: Any, weights: np.ndarray, *others: Any) -> None:
        original(comm, weights.copy(), *others)
    return [Change(local_sgd, "synchronise", synchronise)]


@loose_mutant("rounds")
def outer_momentum_forgotten() -> list[Change]:
    """The outer optimiser loses its momentum before each round."""
    original = Outer.step

    def step(outer: Outer, weights: np.ndarray, pseudo: np.ndarray, span: slice) -> None:
        outer.velocity = None
        original(outer, weights, pseudo, span)
    return [Change(Outer, "step", step)]


@loose_mutant("rounds")
def only_the_first_fragment_travels() -> list[Change]:
    """A fragment that does not begin at the first weight is never sent."""
    original = local_sgd.synchronise

    def synchronise(comm: Any, weights: np.ndarray, shared: np.ndarray, span: slice, outer: Outer) -> None:
        if span.start == 0:
            original(comm, weights, shared, span, outer)
    return [Change(local_sgd, "synchronise", synchronise)]


@loose_mutant("merged")
def merged_without_alignment() -> list[Change]:
    """Two models, A and B, are averaged. The hidden units of B are not put in the order of A before that.
    """
    return [Change(merge, "order_of_units", lambda reference, other: np.arange(len(other)))]


@loose_mutant("merged")
def biases_stay_behind() -> list[Change]:
    """The weights of the hidden units are reordered, but their biases are not."""
    original = merge.align

    def align(reference: Any, other: Any, first: str, second: str) -> dict[str, np.ndarray]:
        return {**original(reference, other, first, second), f"{first}.bias": other[f"{first}.bias"]}
    return [Change(merge, "align", align), Change(loose, "align", align)]


@loose_mutant("deaths")
def sample_used_twice_after_a_restart() -> list[Change]:
    """The restored training repeats the last step that the restored state already contains."""
    def again(trainer: Trainer) -> None:
        trainer.steps_done -= 1
    return _restored(again)


@loose_mutant("deaths")
def sample_lost_after_a_restart() -> list[Change]:
    """The step in which the rank died counts as finished."""
    def skipped(trainer: Trainer) -> None:
        trainer.steps_done += 1
    return _restored(skipped)


@loose_mutant("deaths")
def learning_rate_starts_anew() -> list[Change]:
    """After a restart, the warm-up begins again."""
    def warm_up(trainer: Trainer) -> None:
        rate, done = trainer.rate, trainer.steps_done
        trainer.rate = lambda step: rate(step - done)
    return _restored(warm_up)


@loose_mutant("deaths")
def a_rank_resumes_from_another_step() -> list[Change]:
    """Rank 1 takes the batch of the next step, while the other ranks take the batch of the current step."""
    def ahead(trainer: Trainer) -> None:
        if trainer.grid.world.rank == 1:
            get = trainer.batches.get
            trainer.batches.get = lambda step: get(step + 1)        # type: ignore[method-assign]
    return _restored(ahead)
