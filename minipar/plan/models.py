"""Lists models by name, with the sizes of their papers, and parses model sizes that a user types.

The sizes of "gpt-NAME" come from Narayanan et al. 2021, table 1, and the sizes of "gpt-22b" come from
Korthikanti et al. 2022, table 3. The vocabulary of these models is padded to 51,200. The sizes of GPT-3 come
from Brown et al. 2020, table 2.1, and the sizes of LLaMA come from Touvron et al. 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from minipar.config import GPT2, ModelConfig
from minipar.errors import ConfigError, shown
from minipar.plan.counts import Architecture


def _megatron(layers: int, heads: int, width: int) -> ModelConfig:
    return ModelConfig(51200, 2048, layers, heads, width, dropout=0.1)


def _llama(
    layers: int,
    heads: int,
    width: int,
    hidden: int,
    context: int = 2048,
    kv_heads: int = 0,
    vocabulary: int = 32000,
) -> Architecture:
    return Architecture(
        vocabulary,
        context,
        layers,
        heads,
        width,
        hidden,
        tied=False,
        bias=False,
        gated=True,
        kv_heads=kv_heads,
        positions=False,
    )


MODELS: dict[str, ModelConfig] = {
    "gpt2": replace(GPT2, dropout=0.1),
    "gpt2-xl": ModelConfig(50257, 1024, 48, 25, 1600, dropout=0.1),
    "gpt-1.7b": _megatron(24, 24, 2304),
    "gpt-3.6b": _megatron(30, 32, 3072),
    "gpt-7.5b": _megatron(36, 32, 4096),
    "gpt-18b": _megatron(40, 48, 6144),
    "gpt-22b": _megatron(48, 64, 6144),
    "gpt-39b": _megatron(48, 64, 8192),
    "gpt-76b": _megatron(60, 80, 10240),
    "gpt-145b": _megatron(80, 96, 12288),
    "gpt3-175b": _megatron(96, 96, 12288),
    "gpt-310b": _megatron(96, 128, 16384),
    "gpt-530b": _megatron(105, 128, 20480),
    "gpt-1t": _megatron(128, 160, 25600),
    "llama-7b": _llama(32, 32, 4096, 11008),
    "llama-13b": _llama(40, 40, 5120, 13824),
    "llama-30b": _llama(60, 52, 6656, 17920),
    "llama-65b": _llama(80, 64, 8192, 22016),
    "llama2-70b": _llama(80, 64, 8192, 28672, context=4096, kv_heads=8),
    "llama3-8b": _llama(32, 32, 4096, 14336, context=8192, kv_heads=8, vocabulary=128256),
}


def find_model(text: str) -> ModelConfig:
    """Returns the model that a text describes, by a name or by sizes such as
    "layers=24,width=2304,heads=24,vocabulary=51200".

    A text can begin with a name. The sizes after this name replace sizes of the model:
    "gpt3-175b,context=4096". Raises ConfigError for an unknown name or field, and for a value of a wrong
    type.

    >>> find_model("layers=2,width=8,heads=2").layers, find_model("gpt3-175b").width
    (2, 12288)
    """
    first, *rest = (word.strip() for word in text.split(","))
    base, words = (MODELS[first], rest) if first in MODELS else (Architecture(), [first, *rest])
    kinds = {each.name: type(getattr(Architecture(), each.name)) for each in fields(Architecture)}
    values: dict[str, object] = {each.name: getattr(base, each.name) for each in fields(base)}
    require_different([word.partition("=")[0] for word in words], "model", text)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in kinds:
            raise ConfigError(
                f"model {shown(word)} is neither a name ({', '.join(MODELS)}) nor a size "
                f"({', '.join(kinds)}, as in layers=24)",
                item="model",
            )
        values[name] = _value(name, value, kinds[name])
    return Architecture(**values)  # type: ignore[arg-type]


def require_different(names: Sequence[str], kind: str, text: str) -> None:
    """Raises ConfigError if a text describes a part of a model or layout twice. kind: "model" or "layout"."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{kind} {shown(text)} has {shown(twice[0])} twice; give it once", item=kind)


def _value(name: str, text: str, kind: type) -> object:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        wanted = "true or false" if kind is bool else "a number"
        raise ConfigError(f"{name}={shown(text)}: give {wanted}", item=name) from None
