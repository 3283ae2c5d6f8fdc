"""Hugging Face's `generate` with the weights of a minipar GPT. serving.py measures it beside the engine.

`generate` writes whole texts. SteppedGenerate runs it in another thread, which waits after every token. So
one call of `step` is one decoding step of `generate`, and it can take turns with the steps of other
contenders.
"""

from __future__ import annotations

from importlib.util import find_spec
from threading import Semaphore, Thread
from typing import Any

import numpy as np

import minipar as mp
from minipar.inference.completion import complete
from minipar.nn.gpt2_names import to_gpt2

INSTALLED = bool(find_spec("torch") and find_spec("transformers"))
SHORT, NEW = 8, 8  # tokens of each prompt and text that `assert_equal_texts` compares


def torch_gpt2(model: mp.GPT) -> Any:
    """A GPT2LMHeadModel with copies of the weights of `model`."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.set_num_threads(1)
    config = model.config
    other = GPT2LMHeadModel(GPT2Config(vocab_size=config.vocabulary, n_positions=config.context,
                                       n_embd=config.width, n_layer=config.layers, n_head=config.heads,
                                       eos_token_id=None, bos_token_id=None))
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in
              to_gpt2(config, model.state_dict()).items()}
    other.load_state_dict(arrays)
    return other.eval()


def generate(other: Any, prompts: list[list[int]], new: int, **options: Any) -> list[list[int]]:
    """The `new` most likely tokens after each prompt, as `generate` writes them."""
    import torch
    tokens = torch.tensor(prompts)
    with torch.no_grad():
        texts = other.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False,
                               max_new_tokens=new, pad_token_id=0, **options)
    written: list[list[int]] = texts[:, len(prompts[0]):].tolist()
    return written


class SteppedGenerate:
    """A call of `generate` for a batch of prompts. Each `step` lets it write one more token for each prompt.
    """

    def __init__(self, other: Any, prompts: list[list[int]], new: int):
        """Reads the prompts and writes the first token."""
        self._go, self._written = Semaphore(0), Semaphore(0)
        Thread(target=generate, args=(other, prompts, new), kwargs={"stopping_criteria": [self._pause]},
               daemon=True).start()
        self._written.acquire()

    def step(self) -> None:
        self._go.release()
        self._written.acquire()

    def _pause(self, tokens: Any, scores: Any, **others: Any) -> Any:
        """`generate` calls this function after each token, with tokens [B, T]; it asks which texts have
        ended.
        """
        import torch
        self._written.release()
        self._go.acquire()
        return torch.zeros(len(tokens), dtype=torch.bool)


def assert_equal_texts(model: mp.GPT, other: Any, prompts: list[list[int]]) -> None:
    """Both write the same tokens after the beginnings of the prompts: with `generate`, and with the engine.
    """
    short = [prompt[:SHORT] for prompt in prompts]
    theirs = generate(other, short, NEW)
    greedy = [mp.TextRequest(prompt, NEW, mp.Sampling(temperature=0)) for prompt in short]
    engine = mp.Engine(model, options=mp.EngineOptions(batch=len(short), blocks=2 * len(short)))
    assert [texts[0].tokens for texts in complete(engine, greedy)] == theirs
    assert generate(other, short[:1], NEW) == theirs[:1]
