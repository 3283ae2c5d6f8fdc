"""Defines the serving policies, as options of the engine.

    static       a batch takes waiting requests when the previous batch has ended
    continuous   a request starts as soon as another request has ended. A prompt is computed in one step
    chunked      like continuous, but a long prompt is computed in chunks, over several steps
    unshared     like chunked, but equal beginnings of prompts are computed again for each request
    recompute    like chunked, but with a small cache. If the cache is full, requests lose their keys and
                 values. These are computed again later
    swap         like recompute, but the keys and values are copied to other memory and back
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.errors import ConfigError
from minipar.inference.options import EngineOptions


@dataclass(frozen=True)
class ServingPolicy:
    """A policy: options of the engine. static: if true, requests enter the engine only when it is idle.
    """

    options: EngineOptions
    static: bool = False


def serving_policies(batch: int, context: int, chunk: int, blocks: int = 0) -> dict[str, ServingPolicy]:
    """Return the policies by name.

    batch: the number of texts that run together. context: the context of the model. chunk: the largest number
    of tokens in a forward pass if prompts are chunked. blocks: the number of blocks in the small cache. With
    0, "recompute" and "swap" are left out.

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
