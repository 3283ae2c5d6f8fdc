"""Defines classic bugs of a serving engine. A check of serving.py must detect each bug."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minipar.autograd import Tensor
from minipar.inference import engine as engine_module
from minipar.inference import invariant, paged_attention, speculation
from minipar.inference.batch import RowBatch, runs_of
from minipar.inference.blocks import BlockPool
from minipar.inference.drafts import ModelDraft
from minipar.inference.engine import Engine
from minipar.inference.memory import SequenceMemory
from minipar.inference.paged_cache import PagedCache
from minipar.inference.quantized_cache import QuantizedCache
from minipar.inference.runner import LocalRunner
from minipar.inference.sampling import draw
from minipar.inference.scheduler import Scheduler
from minipar.inference.sequence import TextSequence
from minipar.proof import serving
from minipar.proof.mutants.mutant import Change, PlantedBug

SERVING_MUTANTS: dict[str, PlantedBug] = {}


def serving_mutant(check: str) -> Callable[[Callable[[], list[Change]]], PlantedBug]:
    """Returns a decorator that makes a PlantedBug. It decorates a function that returns the changes. The
    function's docstring becomes the story. check: the first check of serving.py that fails.
    """
    def decorate(changes: Callable[[], list[Change]]) -> PlantedBug:
        name, story = changes.__name__.replace("_", "-"), " ".join((changes.__doc__ or "").split())
        SERVING_MUTANTS[name] = PlantedBug(name, story, check, changes)
        return SERVING_MUTANTS[name]
    return decorate


def _batches(change: Callable[[RowBatch], RowBatch]) -> list[Change]:
    """Returns a change that applies `change` to every batch before the model computes it."""
    original = LocalRunner.run
    return [Change(LocalRunner, "run", lambda runner, batch: original(runner, change(batch)))]


@serving_mutant("cached")
def serving_cache_off_by_one() -> list[Change]:
    """A token after the prompt gets the position of the previous token."""
    def earlier(batch: RowBatch) -> RowBatch:
        decoding = np.repeat([span.rows == 1 and span.position > 0 for span in batch.spans],
                             [span.rows for span in batch.spans])
        return replace(batch, positions=batch.positions - decoding)
    return _batches(earlier)


@serving_mutant("paged")
def blocks_read_as_neighbours() -> list[Change]:
    """Attention reads the first block of a table and the blocks after it in memory. It ignores the rest of
    the table.
    """
    def one_run(table: Sequence[int], block_size: int, length: int) -> list[tuple[int, int]]:
        return [(runs_of(table, block_size, length)[0][0], length)]
    return [Change(paged_attention, "runs_of", one_run)]


@serving_mutant("context end")
def logits_of_another_request() -> list[Change]:
    """Logits are assigned to sequences in the order of arrival, although decoding sequences come first in the
    batch.

    The two orders differ only if an earlier request reads its text again.
    """
    original = Engine._logits

    def sorted_logits(engine: Engine, planned: Any, drafts: Any) -> Any:
        rows = list(original(engine, planned, drafts))
        ready = [one.arrival for one, count in planned.items() if count >= one.pending]
        order = sorted(range(len(ready)), key=ready.__getitem__)
        return iter(rows if len(rows) != len(ready) else [rows[at] for at in order])
    return [Change(Engine, "_logits", sorted_logits)]


@serving_mutant("paged")
def random_numbers_of_one_request() -> list[Change]:
    """All requests draw random numbers from one generator. So a text depends on the other requests."""
    shared = np.random.default_rng(0)
    return [Change(engine_module, "random_numbers", lambda request, sample: shared)]


@serving_mutant("chunked")
def position_offset_in_chunked_prefill() -> list[Change]:
    """Every chunk of a prompt starts again at position 0."""
    def from_zero(batch: RowBatch) -> RowBatch:
        shift = np.repeat([span.position if span.rows > 1 else 0 for span in batch.spans],
                          [span.rows for span in batch.spans])
        return replace(batch, positions=batch.positions - shift)
    return _batches(from_zero)


@serving_mutant("context end")
def window_moved_without_its_cache() -> list[Change]:
    """When the context is full, the older half is removed from the text, but not from the cache."""
    original = Engine._append

    def append(engine: Engine, sequence: TextSequence, logits: np.ndarray, token: int) -> Any:
        forget = engine.memory.forget
        if len(sequence.text) < engine.config.context:
            return original(engine, sequence, logits, token)
        kept = engine.config.context // 2 - 1
        try:
            vars(engine.memory)["forget"] = lambda one: setattr(one, "computed", kept)
            new = original(engine, sequence, logits, token)
        finally:
            del vars(engine.memory)["forget"]
        if new.finished:
            forget(sequence)
        engine.memory.trim(sequence)
        return new
    return [Change(Engine, "_append", append)]


@serving_mutant("prefixes")
def prefix_shared_across_different_prompts() -> list[Change]:
    """The engine reuses a block with the same tokens, although the tokens before the block differ."""
    register, match = BlockPool.register, BlockPool.match

    def by_tokens(pool: BlockPool, block: int, prefix: int, tokens: Sequence[int]) -> int:
        register(pool, block, 0, tokens)
        return 0

    def match_by_tokens(pool: BlockPool, tokens: Sequence[int]) -> tuple[list[int], int]:
        blocks = []
        for start in range(0, len(tokens) - pool.size + 1, pool.size):
            found, _ = match(pool, tokens[start : start + pool.size])
            if not found:
                break
            blocks += found
        return blocks, 0
    return [Change(BlockPool, "register", by_tokens), Change(BlockPool, "match", match_by_tokens)]


@serving_mutant("prefixes")
def prefix_one_token_too_long() -> list[Change]:
    """The first token after a shared prefix counts as computed, but it is not in the cache."""
    original = SequenceMemory.start

    def start(memory: SequenceMemory, sequence: TextSequence, most: int) -> int:
        rows = original(memory, sequence, most)
        sequence.computed += int(sequence.registered > 0 and rows > 1)
        return rows
    return [Change(SequenceMemory, "start", start)]


@serving_mutant("samples")
def wrong_page_after_copy_on_write() -> list[Change]:
    """A block is copied, but the table keeps the old block. So several samples write to the same block."""
    original = SequenceMemory._copy

    def copy(memory: SequenceMemory, table: list[int], at: int) -> bool:
        old, done = table[at], original(memory, table, at)
        if done:
            memory.pool.share(old)
            memory.pool.release([table[at]])
            table[at] = old
        return done
    return [Change(SequenceMemory, "_copy", copy)]


@serving_mutant("samples")
def copy_on_write_without_the_content() -> list[Change]:
    """A sample gets its own block, but the content of the block is not copied."""
    return [Change(PagedCache, "copy", lambda cache, source, target: cache.load(
        [target], [np.zeros_like(array) for array in cache.save([source])]))]


@serving_mutant("recomputed")
def stale_page_after_preemption() -> list[Change]:
    """The tokens of a preempted sequence still count as computed when the sequence resumes."""
    original = SequenceMemory.preempt

    def preempt(memory: SequenceMemory, sequence: TextSequence) -> None:
        computed = sequence.computed
        original(memory, sequence)
        if sequence.swapped is None:
            sequence.computed = max(0, min(computed, len(sequence.text) - 1))
    return [Change(SequenceMemory, "preempt", preempt)]


@serving_mutant("swapped")
def swapped_blocks_in_reverse_order() -> list[Change]:
    """The blocks of a preempted sequence are swapped out in reverse order."""
    original = PagedCache.save
    return [Change(PagedCache, "save", lambda cache, blocks: original(cache, blocks[::-1]))]


@serving_mutant("evicted")
def evicted_block_still_found() -> list[Change]:
    """An evicted block, which now holds other tokens, is still found by its old tokens."""
    original = BlockPool._evict

    def evict(pool: BlockPool) -> None:
        kept = dict(pool._by_key)
        original(pool)
        pool._by_key = kept
    return [Change(BlockPool, "_evict", evict)]


@serving_mutant("prefixes")
def shared_block_freed_by_its_first_user() -> list[Change]:
    """A block becomes free when one of its users ends, although other users still read it."""
    original = BlockPool.release

    def release(pool: BlockPool, blocks: Sequence[int]) -> None:
        for block in blocks:
            if pool.references[block] > 1:
                pool._free[block] = True
        original(pool, blocks)
    return [Change(BlockPool, "release", release)]


@serving_mutant("speculated")
def rejected_token_kept() -> list[Change]:
    """A rejected token of a draft stays in the text."""
    original = speculation.next_token

    def keep(logits: Any, sampling: Any, text: Any, rng: Any, draft: Any, number: int) -> tuple[int, bool]:
        token, accepted = original(logits, sampling, text, rng, draft, number)
        rejected = draft is not None and number < len(draft.tokens) and not accepted
        return (draft.tokens[number] if rejected else token), accepted
    return [Change(engine_module, "next_token", keep)]


@serving_mutant("speculated")
def rejected_rows_stay_in_the_cache() -> list[Change]:
    """After a rejection, the cache still counts the rejected token. So the next token is not computed."""
    original = Engine._new_tokens

    def new_tokens(engine: Engine, sequence: TextSequence, logits: Any, draft: Any) -> Any:
        tokens = original(engine, sequence, logits, draft)
        if draft and len(tokens) <= len(draft.tokens) and not tokens[-1].finished:
            sequence.text.append(tokens[-1].token)
            sequence.computed += 1
        return tokens
    return [Change(Engine, "_new_tokens", new_tokens)]


@serving_mutant("speculated")
def draft_model_without_the_prompt() -> list[Change]:
    """The draft model does not read the prompt. Texts are right, but most draft tokens are rejected."""
    return [Change(ModelDraft, "observe", lambda draft, batch: None)]


@serving_mutant("accepted law")
def rejection_draws_from_the_whole_law() -> list[Change]:
    """After a rejection, the token is drawn from the model's probabilities p, not from the positive part of p
    - q (q: the draft's probabilities). So tokens that the draft often guesses appear too often.
    """
    def wrong(p: np.ndarray, q: np.ndarray, guess: int, rng: np.random.Generator) -> tuple[int, bool]:
        if rng.random() * q[guess] < p[guess]:
            return guess, True
        return draw(p, rng), False
    return [Change(serving, "accept", wrong), Change(speculation, "accept", wrong)]


@serving_mutant("int8 cache")
def scale_of_the_wrong_head() -> list[Change]:
    """The 8-bit numbers of each head are multiplied by the scale of the neighbouring head."""
    def floats(cache: QuantizedCache, layer: int, which: int, slots: slice) -> np.ndarray:
        scales = np.roll(cache._scales[layer][which, :, slots], 1, axis=0)
        product: np.ndarray = cache._pools[layer][which, :, slots] * scales
        return product
    return [Change(QuantizedCache, "_floats", floats)]


@serving_mutant("invariant")
def last_tile_not_filled() -> list[Change]:
    """The last tile (a group of rows) is not filled up. So its matrix products have another shape."""
    return [Change(invariant, "_filled", lambda x: Tensor(x)),
            Change(invariant, "_RowAttention", _RowsAsTheyAre)]


class _RowsAsTheyAre(invariant._RowAttention):
    """Accepts tiles of any number of rows."""

    def _attend(self, layer: int, tile: slice, qkv: Any, heads: int) -> Any:
        n = qkv.shape[1]
        whole = np.zeros((1, invariant.TILE, qkv.shape[2]), qkv.dtype)
        whole[:, :n] = qkv.data
        return Tensor(super()._attend(layer, tile, Tensor(whole), heads).data[:, :n])


@serving_mutant("cached")
def blocks_not_given_back() -> list[Change]:
    """A finished sequence keeps its blocks, so the cache fills up with unused blocks."""
    def remove(scheduler: Scheduler, sequence: TextSequence) -> None:
        (scheduler.running if sequence in scheduler.running else scheduler.waiting).remove(sequence)
    return [Change(Scheduler, "remove", remove)]
