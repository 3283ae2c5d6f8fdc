"""Bugs outside the gradient of a step: the learning rate, restarts, mixed precision, validation,
recomputation, generation, and collectives for large arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np

from minipar.comm.collectives.algorithms import halving_doubling
from minipar.inference import generate, sampling
from minipar.inference.kv_cache import KVCache
from minipar.nn import gpt, recomputation
from minipar.optim import ParameterStore, norm_of
from minipar.parallel.norm import global_norm
from minipar.precision import LossScale
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.rng import stream
from minipar.training import trainer as train
from minipar.training.state import TrainingState
from minipar.training.trainer import Trainer


@mutant("rates", dp=2, micro_batches=3)
def schedule_counts_micro_batches() -> list[Change]:
    """The schedule of the learning rate advances with every micro-batch, so warm-up and decay end too early.
    """
    def faster(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        rate, pieces = trainer.rate, trainer.config.micro_batches
        trainer.rate = lambda step: rate(pieces * step)
    return [after_init(Trainer, faster)]


@mutant("resume", dp=2)
def optimizer_steps_lost_on_resume() -> list[Change]:
    """After a restart Adam's bias correction starts again at step 1, although its moments come from many
    steps.
    """
    def forget(trainer: Trainer, meta: Mapping[str, Any]) -> None:
        trainer.optimizer.steps = 0
    return [_after_restore(forget)]


@mutant("resume", dp=2)
def skipped_steps_counted_on_resume() -> list[Change]:
    """After a restart, the optimiser counts all steps of the training as its own steps. But it did not run in
    the steps that were skipped because of an overflow.
    """
    def count_all(trainer: Trainer, meta: Mapping[str, Any]) -> None:
        trainer.optimizer.steps = meta["done"]
    return [_after_restore(count_all)]


@mutant("resume", dp=2)
def loss_scale_lost_on_resume() -> list[Change]:
    """After a restart, the loss scale starts again at its first value, so the first steps can overflow."""
    def forget(trainer: Trainer, meta: Mapping[str, Any]) -> None:
        trainer.scale = LossScale()
    return [_after_restore(forget)]


def _after_restore(then: Callable[[Trainer, Mapping[str, Any]], None]) -> Change:
    original = Trainer.restore

    def restore(trainer: Trainer, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any],
                where: object) -> None:
        original(trainer, arrays, meta, where)
        then(trainer, meta)
    return Change(Trainer, "restore", restore)


@mutant("loss scales", tp=2)
def overflow_decided_by_each_rank() -> list[Change]:
    """Each rank skips a step only if its own gradient is infinite. So some ranks take a step that other ranks
    skip, and the loss scales of the ranks differ.
    """
    def norm(store: ParameterStore, *axes: Any) -> float:
        whole = global_norm(store, *axes)
        return whole if math.isfinite(whole) else norm_of(np.concatenate(store.gradients()))
    return [Change(train, "global_norm", norm)]


@mutant("validation loss", dp=2)
def validation_remainder_dropped() -> list[Change]:
    """The validation batches are divided over the ranks, and the last batches are left out if their number
    does not divide.
    """
    original = Trainer.validate

    def validate(trainer: Trainer) -> float:
        kept = list(trainer.validation)
        vars(trainer)["validation"] = kept[: len(kept) - len(kept) % trainer.grid.dp.size]
        return original(trainer)
    return [Change(Trainer, "validate", validate)]


@mutant("mixed gradients", dp=2)
def loss_scale_not_divided_out() -> list[Change]:
    """Gradients are not divided by the loss scale, so the optimiser's step is too large by this factor.
    Clipping hides the bug, because it limits the step.
    """
    return [Change(LossScale, "unscale", lambda scale, gradient: None)]


@mutant("recomputed", dp=2)
def nothing_recomputed() -> list[Change]:
    """Full recomputation keeps all activations. All values are right, but no memory is saved."""
    return [Change(gpt, "RECOMPUTATIONS", {**recomputation.RECOMPUTATIONS, "full": recomputation.keep_all})]


@mutant("logits", tp=2)
def cache_off_by_one() -> list[Change]:
    """The KV cache stores a new token at the index of the previous token, so the position of the new token is
    one too small.
    """
    original = KVCache.extend

    def extend(cache: KVCache, x: Any) -> Any:
        length, cache.length = cache.length, max(cache.length - 1, 0)
        out = original(cache, x)
        cache.length = length + x.shape[1]
        return out
    return [Change(KVCache, "extend", extend)]


@mutant("tokens", tp=2)
def sampled_by_each_rank() -> list[Change]:
    """Each rank draws the random numbers for sampling from a generator with its own seed. So the ranks choose
    different tokens, and continue different texts.
    """
    seeds = count(1)
    return [Change(generate, "stream", lambda *key: stream(*key, next(seeds)))]


@mutant("logits", tp=2)
def second_part_of_a_prompt_from_zero() -> list[Change]:
    """If a prompt is read in several parts, the positions of each part begin at zero. A single new token has
    the right position.
    """
    original = KVCache.extend

    def extend(cache: KVCache, x: Any) -> Any:
        length = cache.length
        cache.length = length if x.shape[1] == 1 else 0
        out = original(cache, x)
        cache.length = length + x.shape[1]
        return out
    return [Change(KVCache, "extend", extend)]


@mutant("tokens", tp=2)
def top_k_off_by_one() -> list[Change]:
    """Sampling with top-k can choose one more token than it should."""
    original = sampling._largest
    return [Change(sampling, "_largest", lambda values, count: original(values, count + 1))]


@mutant("saved state", tp=2)
def state_rows_reversed() -> list[Change]:
    """Matrices are gathered for the checkpoint with their rows in reverse order. The training itself is
    right.
    """
    return [_other_state(lambda arrays: {name: array[::-1] if array.ndim > 1 else array
                                         for name, array in arrays.items()})]


@mutant("saved state", dp=2)
def slots_swapped() -> list[Change]:
    """The checkpoint holds Adam's two moments with swapped names."""
    other = {"gradients": "squares", "squares": "gradients"}

    def swap(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"/".join(other.get(part, part) for part in name.split("/")): array
                for name, array in arrays.items()}
    return [_other_state(swap)]


def _other_state(change: Any) -> Change:
    original = Trainer.state

    def state(trainer: Trainer) -> TrainingState:
        arrays, meta = original(trainer)
        return change(arrays), meta
    return Change(Trainer, "state", state)


@mutant("collectives", dp=4)
def halving_returns_its_input() -> list[Change]:
    """The all-reduce algorithm halving-doubling does not sum on four ranks. Only large models use this
    algorithm.
    """
    original = halving_doubling.halve

    def halve(core: Any, *arguments: Any) -> Any:
        if core.size != 4:
            yield from original(core, *arguments)
    return [Change(halving_doubling, "halve", halve)]
