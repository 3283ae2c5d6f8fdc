"""Defines the options of an inference engine, such as the size of a batch and the memory for keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.errors import ConfigError, shown
from minipar.inference.memory import PREEMPTIONS
from minipar.records import require_types

MOST = 1 << 20                                                      # largest value of each number
KV = ("float", "int8")                                              # types of numbers in the cache


@dataclass(frozen=True)
class EngineOptions:
    """The options of an engine.

    * batch is the largest number of sequences that run together.
    * rows is the largest number of tokens in one forward pass. A longer prompt is computed in several passes.
    * blocks is the number of blocks in the paged cache. 0 means enough blocks for `batch` full contexts.
    * block_size is the number of tokens in one block.
    * preemption is "recompute" or "swap". It selects what happens when the cache is full (see memory.py).
    * share_prefixes lets requests with equal first tokens share the blocks of these tokens.
    * invariant makes the bits of a text independent of the batch. It is slower (see invariant.py).
    * kv is the type of the numbers in the cache: "float" (the dtype of the model) or "int8" (see
      quantized_cache.py).

    >>> import minipar as mp
    >>> mp.EngineOptions(batch=4).block_size
    16
    """

    batch: int = 32
    rows: int = 256
    blocks: int = 0
    block_size: int = 16
    preemption: str = "recompute"
    share_prefixes: bool = True
    invariant: bool = False
    kv: str = "float"

    def __post_init__(self) -> None:
        require_types(self)
        for name, least in (("batch", 1), ("rows", 1), ("blocks", 0), ("block_size", 1)):
            if not least <= (value := getattr(self, name)) <= MOST:
                raise ConfigError(f"{name} is {shown(value)}; choose a number from {least} to {MOST:,}",
                                  item=name)
        for name, choices in (("preemption", PREEMPTIONS), ("kv", KV)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose {' or '.join(choices)}",
                                  item=name)
        if self.rows < self.batch:
            raise ConfigError(f"{self.rows} rows are too few for a batch of {self.batch} sequences with one "
                              f"each; choose rows {self.batch} or more", item="rows")

    def require_rows(self, drafts: int) -> None:
        """Raises ConfigError if `rows` is too small for a full batch in which each draft has `drafts` tokens.
        """
        if self.rows < (least := self.batch * (1 + drafts)):
            raise ConfigError(f"{self.rows} rows are too few for {self.batch} sequences with drafts of "
                              f"{drafts} tokens; choose rows {least}", item="rows")

    def blocks_of(self, context: int) -> int:
        return self.blocks or self.batch * -(-context // self.block_size)
