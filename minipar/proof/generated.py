"""Generates text with a KV cache on the ranks of the layout, and without a cache on one process.

Without a cache, the process reads the whole text again for every new token.
"""

# T: number of tokens, V: size of the vocabulary

from __future__ import annotations

from itertools import islice

import numpy as np

from minipar.autograd import no_grad
from minipar.inference.generate import generate
from minipar.inference.sampling import draw
from minipar.inference.sharded_cache import StagesCache
from minipar.nn import GPT
from minipar.parallel.stages import Stages, parts_of
from minipar.parallel.tensor import region_of
from minipar.proof.record import Record, numbered
from minipar.rng import stream
from minipar.training.trainer import Trainer

NEW = 4  # the prompt is 4 tokens shorter than the context
# (temperature, top_k) of each continuation: the most likely tokens; random tokens; one of the two most likely
CHOICES = ((0.0, 0), (1.0, 0), (1.0, 2))
WRITTEN = NEW + 4  # number of generated tokens; the context is full when the last ones are generated


def generated(trainer: Trainer, reference: bool) -> Record:
    """Returns two items. "logits" holds logits for each token of a given text after the prompt. "tokens"
    holds a continuation of the prompt for each of CHOICES. All ranks of the trainer's grid call this
    function.
    """
    model = trainer.model
    text = [int(token) for token in trainer.tokens[: model.context]]                               # [T]
    prompt = max(1, len(text) - NEW)
    logits, tokens = _read_whole(trainer, text, prompt) if reference else _with_cache(trainer, text, prompt)
    return {"logits": numbered("of token", logits, first=prompt), "tokens": numbered("token", tokens)}


def _with_cache(trainer: Trainer, text: list[int], prompt: int) -> tuple[list[np.ndarray], list[int]]:
    stages = _serving(trainer)
    cache = StagesCache(stages)
    if prompt > 1:  # the cache reads the prompt in two parts
        cache.logits(np.array([text[:1]]))
    logits = [cache.logits(np.array([text[min(1, prompt - 1):prompt]]))[0]]
    logits += [cache.logits(np.array([[token]]))[0] for token in text[prompt:]]                    # [V] each
    return logits, [token for temperature, top_k in CHOICES
                    for token in islice(generate(stages, text[:prompt], temperature=temperature,
                                                 top_k=top_k), WRITTEN)]


def _serving(trainer: Trainer) -> Stages:
    """Returns stages without sequence parallelism that have the trainer's weights. `minipar generate` uses
    such stages.
    """
    grid, model, stage_to_rank = trainer.grid, trainer.model, trainer.stages.stage_to_rank
    stages = Stages(model, parts_of(model.layers, len(stage_to_rank), grid.layout.stage_layers),
                    stage_to_rank, grid, region_of(grid.tp, model.context, sequence_parallel=False), seed=0,
                    dtype=trainer.config.dtype)
    stages.load_state_dict(trainer.store.weights_by_name())
    return stages


def _read_whole(trainer: Trainer, text: list[int], prompt: int) -> tuple[list[np.ndarray], list[int]]:
    """Returns the logits and the tokens of one process."""
    (model,) = trainer.stages.parts.values()
    written = [token for temperature, top_k in CHOICES
               for token in _continued(model, text[:prompt], temperature, top_k)]
    return list(_logits(model, text)[prompt - 1:]), written


def _continued(model: GPT, end: list[int], temperature: float, top_k: int) -> list[int]:
    """Returns tokens that continue a text. When the context is full, the older half of the text is dropped.
    """
    context, written, rng = model.config.context, [], stream(0, "generate")
    for _ in range(WRITTEN):
        logits = _logits(model, end)[-1]
        likely = np.exp(logits.astype(np.float64) - logits.max())
        if top_k:
            likely[np.argsort(-logits, kind="stable")[top_k:]] = 0
        token = int(np.argmax(logits)) if not temperature else draw(likely, rng)
        written.append(token)
        full = len(end) == context
        end = [*end, token]
        if full:
            end = end[-max(context // 2, 1):]
    return written


def _logits(model: GPT, text: list[int]) -> np.ndarray:
    """Returns the logits, [T, V]."""
    with no_grad():
        logits: np.ndarray = model.forward(np.array([text])).data[0]
    return logits
