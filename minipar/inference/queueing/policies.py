"""Defines the serving policies, as options of the engine.

    static            a batch starts when the previous batch has ended, and takes all waiting requests
    continuous        a free row takes the next request at once; each prompt is computed in one step
    chunked           as continuous, but a prompt is computed in chunks
    unshared          as chunked, but equal beginnings of prompts are computed again for each request
    recompute, swap   as chunked, but with a small cache: the keys of preempted requests are computed again,
                      or copied back
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.errors import ConfigError
from minipar.inference.options import EngineOptions


@dataclass(frozen=True)
class ServingPolicy:
    """A policy has the `options` of the engine. If `static`, requests enter the engine only when it is idle.
    """

    options: EngineOptions
    static: bool = False


def serving_policies(batch: int, context: int, chunk: int, blocks: int = 0) -> dict[str, ServingPolicy]:
    """Return the policies by name.

    `batch` is the number of texts that run together, `context` the context of the model, and `chunk` the
    number of tokens in a forward pass if prompts are chunked. The small cache has `blocks` blocks; 0 leaves
    out "recompute" and "swap".

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
