"""The cache player's runs: the engine serves four requests with a small paged KV cache."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minipar as mp
from minipar.data.tokenizer import CharTokenizer
from minipar.inference.memory import PREEMPTIONS, SequenceMemory
from minipar.inference.sequence import TextSequence
from minipar.inference.speculation import DraftTokens

TITLE = "Pages of a KV cache"
DOES = (
    "Four requests share eleven blocks of four tokens. Step through every change of a block table: prefix "
    "sharing, copy on write, preemption, and blocks that stay cached when their request has finished. "
    "Predict first: how many new blocks does request 1 need, if it begins as request 0?"
)

BLOCKS, SIZE, BATCH, ROWS, SEED = 11, 4, 5, 12, 1
TEXTS = ("the cat sat on", "the cat sat at", "a dog ran", "the end of a road ")
REQUESTS = ((0, 8, 1), (1, 6, 1), (3, 6, 2), (5, 6, 1))             # (passes before it, new tokens, samples)
TOKENS = CharTokenizer.from_text("".join(TEXTS))
MODEL = mp.ModelConfig(vocabulary=TOKENS.vocab_size, context=32, layers=1, heads=1, width=8)


def name(sequence: TextSequence) -> str:
    """The number of the request. If it has several samples, a letter follows: "2b" is the second one."""
    return str(sequence.number) + ("ab"[sequence.sample] if sequence.request.samples > 1 else "")


class WatchedMemory(SequenceMemory):
    """Reports every change of a table: report(words), and a sequence that the scheduler does not know yet."""

    report: Callable[..., None]
    starting = False                                                # whether `start` calls `grow`

    def grow(self, sequence: TextSequence, length: int) -> bool:
        before, evicted = list(sequence.table), self.pool.evictions
        found = super().grow(sequence, length)
        if evicted < self.pool.evictions:
            self.report("No block is free. The cached blocks that were released first are evicted.")
        if not self.starting:
            for old, new in zip(before, sequence.table, strict=False):
                if old != new:
                    self.report(
                        f"Request {name(sequence)} must write into block {old}, which another one uses. "
                        f"It copies the block to block {new}: copy on write."
                    )
            if new_blocks := sequence.table[len(before):]:
                self.report(f"Request {name(sequence)} needs room and gets {_named(new_blocks)}.")
        return found

    def start(self, sequence: TextSequence, most: int) -> int:
        back, self.starting = sequence.swapped is not None, True
        rows = super().start(sequence, most)
        self.starting = False
        full = sequence.computed // SIZE
        if rows and back:
            self.report(f"Request {name(sequence)} comes back: its keys and values are copied into "
                        f"{_named(sequence.table)}.")
        elif rows and full:
            self.report(
                f"Request {name(sequence)} starts. Its beginning is already in "
                f"{_named(sequence.table[:full])}, which it shares. It gets {_named(sequence.table[full:])}."
            )
        elif rows:
            self.report(f"Request {name(sequence)} starts and gets {_named(sequence.table)}.")
        return rows

    def fork(self, sequence: TextSequence, other: TextSequence) -> None:
        super().fork(sequence, other)
        self.report(
            f"Request {name(other)} starts with the table of {name(sequence)}: nothing is copied yet.", other
        )

    def preempt(self, sequence: TextSequence) -> None:
        table = list(sequence.table)
        super().preempt(sequence)
        kept = "are copied out of the blocks" if sequence.swapped is not None else "will be computed again"
        self.report(f"No block is left. Request {name(sequence)} came last, so it is preempted and gives "
                    f"{_named(table)} back. Its keys and values {kept}.")

    def forget(self, sequence: TextSequence) -> None:
        table = list(sequence.table)
        super().forget(sequence)
        if sequence.written == sequence.request.max_tokens:
            self.report(f"Request {name(sequence)} has finished and gives {_named(table)} back.")


def _named(blocks: list[int]) -> str:
    return f"{'block' if len(blocks) == 1 else 'blocks'} {', '.join(map(str, blocks))}"


class WatchedEngine(mp.Engine):
    """Reports every forward pass: report(the planned rows of each sequence)."""

    report: Callable[[dict[TextSequence, int]], None]

    def _logits(self, planned: dict[TextSequence, int],
                drafts: dict[TextSequence, DraftTokens]) -> Iterator[np.ndarray]:
        self.report(planned)
        return super()._logits(planned, drafts)


class Recorder:
    """One run. moments: the state after each change, as `recorded` describes it."""

    def __init__(self, preemption: str, share: bool) -> None:
        options = mp.EngineOptions(batch=BATCH, rows=ROWS, blocks=BLOCKS, block_size=SIZE,
                                   preemption=preemption, share_prefixes=share)
        self.engine = engine = WatchedEngine(mp.GPT(MODEL, dtype=np.float32), options=options)
        memory = WatchedMemory(engine.memory.pool, engine.memory.caches, preemption, share)
        engine.memory = engine.scheduler.memory = memory
        memory.report, engine.report = self.note, self.passed
        self.memory, self.contents = memory, [""] * BLOCKS
        self.computed: dict[TextSequence, int] = {}                 # tokens, with those of the running pass
        self.moments: list[dict[str, Any]] = []

    def run(self) -> list[dict[str, Any]]:
        self.note("All blocks are free.")
        passes = 0
        while passes <= REQUESTS[-1][0] or self.engine.busy:
            for text, (when, tokens, samples) in zip(TEXTS, REQUESTS, strict=True):
                if when == passes:
                    prompt, sampling = TOKENS.encode(text).tolist(), mp.Sampling(seed=SEED)
                    number = self.engine.add(mp.TextRequest(prompt, tokens, sampling, samples))
                    self.note(f"Request {number} arrives: \"{text}\". It wants {tokens} more tokens"
                              f"{f' in {samples} samples' * (samples > 1)}.")
            self.engine.step()
            self.computed.clear()
            passes += 1
        return self.moments

    def passed(self, planned: dict[TextSequence, int]) -> None:
        self.computed = {one: one.computed + rows for one, rows in planned.items()}
        parts = [f"{rows} {'token' if rows == 1 else 'tokens'} of request {name(one)}"
                 for one, rows in planned.items()]
        self.note(f"Forward pass {self.engine.steps} computes {', '.join(parts)}.")

    def note(self, words: str, *new: TextSequence) -> None:
        """Add the state of this moment to `moments`. new: sequences that the scheduler does not know yet."""
        scheduler, pool, memory = self.engine.scheduler, self.memory.pool, self.memory
        known = [one for one in [*scheduler.running, *new, *scheduler.waiting]
                 if one.written < one.request.max_tokens]
        states = [pool.state_of(block) for block in range(BLOCKS)]
        self.contents = [text if state == "cached" else ""
                         for state, text in zip(states, self.contents, strict=True)]
        for one in known:
            self._read(one)
        self.moments.append({
            "said": words,
            "blocks": list(zip(states, self.contents, strict=True)),
            "tables": {name(one): [list(one.table), TOKENS.decode(one.text)] for one in known if one.table},
            "waiting": [name(one) for one in known if not one.table],
            "shared": memory.shared_tokens, "copies": memory.copies, "preemptions": memory.preemptions,
            "evictions": pool.evictions})

    def _read(self, sequence: TextSequence) -> None:
        """Note the text in the blocks of this sequence, as far as it is computed."""
        computed = max(sequence.computed, self.computed.get(sequence, 0))
        for number, block in enumerate(sequence.table):
            tokens = sequence.text[number * SIZE:min((number + 1) * SIZE, computed)]
            self.contents[block] = TOKENS.decode(tokens)


@functools.cache
def recorded() -> Any:
    """runs: preemption -> "yes" or "no" (prefix sharing) -> moments.

    A moment has blocks: [state, text] of each; tables: sequence -> [its blocks, its text]; waiting: sequences
    without blocks; and the counters of the engine's memory so far.
    """
    runs = {preemption: {answer: Recorder(preemption, answer == "yes").run() for answer in ("yes", "no")}
            for preemption in PREEMPTIONS}
    return {"size": SIZE, "runs": runs}


def plain() -> str:
    """What happens in the run with sharing and recomputation, moment by moment."""
    items = "".join(f"<li>{html.escape(moment['said'])} {_counted(moment['blocks'])}</li>"
                    for moment in recorded()["runs"]["recompute"]["yes"])
    return f"<p>{BLOCKS} blocks of {SIZE} tokens, preemption by recomputation.</p><ol>{items}</ol>"


def _counted(blocks: list[tuple[str, str]]) -> str:
    states = [state for state, _ in blocks]
    return f"({states.count('in use')} in use, {states.count('cached')} cached, {states.count('free')} free)"
