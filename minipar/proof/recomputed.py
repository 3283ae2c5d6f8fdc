"""Counts the ops that backward recomputes. Recomputation changes no value, so only a count can verify it.

Mixed precision has a hook that every op calls (`minipar.autograd.autocast_hook`). The count uses this hook. A
block has four linear layers, two LayerNorms, one attention and one GELU. Two of the linear layers add bias
and residual in a separate op, `add_bias`. With full recomputation, backward runs each op once more per
micro-batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from minipar.autograd import Tensor
from minipar.autograd.autocast_hook import Rule, casting, rule_now
from minipar.autograd.recompute import is_second_run
from minipar.parallel.pipeline import Around, Execution
from minipar.plan.stages import stages_of
from minipar.proof.record import RankRun
from minipar.schedules.instruction import Instruction

AGAIN = {  # value of --recompute -> op -> number of second runs per block and micro-batch
    "none": {},
    "selective": {"causal_attention": 1},
    "full": {"layernorm": 2, "linear": 4, "add_bias": 2, "causal_attention": 1, "gelu": 1},
}


class SecondRuns:
    """Counts the ops that backward recomputes. A Trainer enters the context `watch` around each instruction.
    inner: a function that returns another context. `watch` enters this context, too. counts: op -> number.
    """

    def __init__(self, inner: Around):
        self.inner = inner
        self.counts: Counter[str] = Counter()

    @contextmanager
    def watch(self, instruction: Instruction, execution: Execution) -> Iterator[None]:
        with self.inner(instruction, execution), casting(partial(self._call, rule_now())):
            yield

    def _call(self, rule: Rule | None, op: Any, *arguments: Any, **options: Any) -> Tensor:
        if is_second_run():
            self.counts[op.__name__] += 1
        return rule(op, *arguments, **options) if rule else op(*arguments, **options)


def expected(run: RankRun) -> dict[str, int]:
    """Returns a dict, op -> number of times that this rank must recompute the op in the run."""
    trainer, layout, steps = run.trainer, run.grid.layout, run.trainer.steps_done
    layers = len(stages_of(trainer.model, layout).of_rank(run.grid.at["pp"]).layers)
    pieces = len(trainer.rows) if layout.gradients == "bitwise" else len(trainer.pieces())
    return {op: steps * layers * pieces * count for op, count in AGAIN[trainer.config.recompute].items()
            if layers}


def wrong_count(run: RankRun) -> str:
    """Describes the first op that this rank recomputed too often or too rarely. Returns "" if there is none.
    """
    planned = expected(run)
    for op in sorted({*planned, *run.again}):
        if (want := planned.get(op, 0)) != (got := run.again.get(op, 0)):
            return f"{op} recomputed {got} times, not {want}"
    return ""
