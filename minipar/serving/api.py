"""Converts the JSON of POST /v1/completions to a request for the engine, and tokens to JSON.

The JSON has the fields of OpenAI's API, and also top_k, min_p and repetition_penalty. An unknown
field raises an error: if the server ignored the field, the client would not notice that it has no effect.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from minipar.data.tokenizer import Tokenizer
from minipar.errors import ConfigError, DataError, shown
from minipar.inference.requests import NewToken, Sampling, TextRequest
from minipar.records import is_whole
from minipar.serving.http import HttpError
from minipar.untrusted.plain import parse_json

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")
FIELDS = {"model", "prompt", "max_tokens", "n", "stop", "stream", "logprobs", "user", *SAMPLING}
DEFAULT_TOKENS = 16  # default of max_tokens, as in OpenAI's API
MOST_VALUES = 100_000  # largest number of values in a request's JSON
LEAST_LOGPROB = -9999.0  # stands for -inf in JSON, as in OpenAI's API


@dataclass(frozen=True)
class CompletionCall:
    """A valid call. request: for the engine. stream: if true, the tokens are sent one by one."""

    request: TextRequest
    stream: bool


def parse_call(body: bytes, tokenizer: Tokenizer, model: str, most_tokens: int) -> CompletionCall:
    """Parse the body of a call. model: the name of the server's model. most_tokens: limit for all texts of a
    call. Raises HttpError, DataError or ConfigError for the first invalid field.

    >>> from minipar.data.tokenizer import ByteTokenizer
    >>> from minipar.serving.api import parse_call
    >>> call = parse_call(b'{"prompt": "Hi", "max_tokens": 3, "seed": 1}', ByteTokenizer(), "runs/first", 100)
    >>> call.request.prompt, call.request.max_tokens, call.stream
    ([72, 105], 3, False)
    """
    values = parse_json(body, "the body", DataError, values=MOST_VALUES)
    if not isinstance(values, dict):
        raise DataError(f"the body is {shown(values)}; it must be a JSON object")
    values = {name: value for name, value in values.items() if value is not None}
    if unknown := sorted(values.keys() - FIELDS):
        raise ConfigError(f"the field {shown(unknown[0])} is not supported; leave it out", item=unknown[0])
    if values.get("model", model) != model:
        raise HttpError(f"there is no model {shown(values['model'])}; this server has {model}", status=404,
                        code="model_not_found", item="model")
    stream = values.get("stream", False)
    if not isinstance(stream, bool):
        raise ConfigError(f"stream is {shown(stream)}; it must be true or false", item="stream")
    seed = {"seed": secrets.randbits(32)} if "seed" not in values else {}
    sampling = Sampling(**seed, **{name: values[name] for name in SAMPLING if name in values})
    if not isinstance(values.get("user", ""), str):
        raise ConfigError(f"user is {shown(values['user'])}; it must be a text", item="user")
    samples = values.get("n", 1)
    allowed = max(1, most_tokens // samples) if is_whole(samples) and samples > 0 else most_tokens
    most = values.get("max_tokens", min(DEFAULT_TOKENS, allowed))
    request = TextRequest(_prompt(values.get("prompt"), tokenizer), most, sampling, samples,
                          _stop(values.get("stop", [])), values.get("logprobs"))
    if request.max_tokens * request.samples > most_tokens:
        raise ConfigError(f"max_tokens is {shown(request.max_tokens)} for each of {samples} texts; this "
                          f"server allows {most_tokens} for all texts of a request", item="max_tokens")
    return CompletionCall(request, stream)


def _prompt(prompt: object, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of the prompt, which may be a text or a list of tokens. TextRequest checks the
    tokens.
    """
    if isinstance(prompt, str):
        try:
            tokens: list[int] = tokenizer.encode(prompt).tolist()
        except DataError as error:
            raise DataError(f"prompt: {error}", item="prompt") from error
        return tokens
    if isinstance(prompt, list) and not any(isinstance(one, str | list) for one in prompt):
        return prompt
    if isinstance(prompt, list):
        raise ConfigError("prompt holds several prompts; send one request for each", item="prompt")
    raise ConfigError(f"prompt is {shown(prompt)}; it must be one text, or a list of tokens", item="prompt")


def _stop(stop: object) -> list[str]:
    """Return the list of stop texts. OpenAI's API also allows a single text instead of a list."""
    if isinstance(stop, str):
        return [stop]
    if isinstance(stop, list):
        return stop
    raise ConfigError(f"stop is {shown(stop)}; it must be a text, or a list of texts", item="stop")


class Choices:
    """Collects the samples of a request, and returns their JSON: token by token, or complete at the end.

    >>> from minipar.data.tokenizer import ByteTokenizer
    >>> from minipar.inference.requests import NewToken, TextRequest
    >>> from minipar.serving.api import Choices
    >>> choices = Choices("cmpl-1", "runs/first", TextRequest([72], max_tokens=2), ByteTokenizer())
    >>> choices.add(NewToken(0, 0, 105, "i"))["choices"][0]["text"]
    'i'
    >>> _ = choices.add(NewToken(0, 0, 33, "!", finished="length"))
    >>> choices.whole()["choices"][0]["text"], choices.whole()["usage"]["completion_tokens"]
    ('i!', 2)
    """

    def __init__(self, name: str, model: str, request: TextRequest, tokenizer: Tokenizer):
        self._head = {"id": name, "object": "text_completion", "model": model,
                      "seed": request.sampling.seed}
        self._request, self._tokenizer = request, tokenizer
        self._texts: dict[int, list[dict[str, Any]]] = {sample: [] for sample in range(request.samples)}
        self._finished: dict[int, str] = {}

    @property
    def complete(self) -> bool:
        return len(self._finished) == self._request.samples

    def add(self, new: NewToken) -> dict[str, Any]:
        """Add a new token to its sample. Returns the token's JSON for a stream."""
        logprobs = None
        if new.logprob is not None:
            likely: dict[str, float] = {}
            for token, logprob in new.likely:                       # several tokens may have the same text
                likely.setdefault(self._text(token), max(logprob, LEAST_LOGPROB))
            logprobs = {"tokens": [self._text(new.token)], "top_logprobs": [likely],
                        "token_logprobs": [max(new.logprob, LEAST_LOGPROB)]}
        choice = {"index": new.sample, "text": new.text, "logprobs": logprobs, "finish_reason": new.finished}
        self._texts[new.sample].append(choice)
        if new.finished:
            self._finished[new.sample] = new.finished
        return {**self._head, "choices": [choice]}

    def whole(self) -> dict[str, Any]:
        """Return the complete response, for a call without a stream."""
        choices = []
        for sample, parts in self._texts.items():
            logprobs = None
            if self._request.logprobs is not None:
                logprobs = {name: [part["logprobs"][name][0] for part in parts]
                            for name in ("tokens", "token_logprobs", "top_logprobs")}
            choices.append({"index": sample, "text": "".join(part["text"] for part in parts),
                            "logprobs": logprobs, "finish_reason": self._finished[sample]})
        prompt, new = len(self._request.prompt), sum(map(len, self._texts.values()))
        usage = {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}
        return {**self._head, "choices": choices, "usage": usage}

    def _text(self, token: int) -> str:
        return self._tokenizer.decode([token])
