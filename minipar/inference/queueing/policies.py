"""Policies of serving, as options of the engine.

    static            a batch starts when the one before it has ended, and takes all requests that wait
    continuous        a free row takes the next request at once; prompts are computed whole
    chunked           as continuous, but a prompt is computed in chunks
    unshared          as chunked, but equal beginnings of prompts are computed again for each request
    recompute, swap   as chunked, with a small cache: what is preempted is computed again, or copied back
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.errors import ConfigError
from minipar.inference.options import EngineOptions


@dataclass(frozen=True)
class ServingPolicy:
    """options: of the engine. static: requests enter the engine only when it is idle."""

    options: EngineOptions
    static: bool = False


def serving_policies(batch: int, context: int, chunk: int, blocks: int = 0) -> dict[str, ServingPolicy]:
    """The policies by name. batch: texts that run together. context: of the model. chunk: tokens of a forward
    pass where prompts are chunked. blocks: of the small cache; 0 leaves out its two policies.

    Raises ConfigError if a chunk has fewer tokens than a batch.

    >>> list(serving_policies(8, 64, 16))
    ['static', 'continuous', 'chunked', 'unshared']
    """
    if chunk < batch:
        raise ConfigError(f"a chunk of {chunk} tokens is less than one token for each of {batch} texts; "
                          "choose a larger chunk", item="chunk")
    whole = EngineOptions(batch=batch, rows=batch * context)
    policies = {
        "static": ServingPolicy(whole, static=True),
        "continuous": ServingPolicy(whole),
        "chunked": ServingPolicy(EngineOptions(batch=batch, rows=chunk)),
        "unshared": ServingPolicy(EngineOptions(batch=batch, rows=chunk, share_prefixes=False)),
    }
    if blocks:
        policies |= {way: ServingPolicy(EngineOptions(batch=batch, rows=chunk, blocks=blocks, preemption=way))
                     for way in ("recompute", "swap")}
    return policies
