"""Translates the names of GPT-2's weights in published checkpoints to our names, and back.

There are two formats with the same names:

    Hugging Face    transformer.h.0.attn.c_attn.weight is [inputs, outputs], as in minipar (its layer
                    "Conv1D" computes x W)
    nanoGPT         the same name holds [outputs, inputs], because PyTorch's nn.Linear computes x W^T

Names may lack the prefix `transformer.`, as in the files of the original models, or may have the prefix
`_orig_mod.` of torch.compile. Files may contain causal masks, which are not weights. If the head is tied,
`lm_head.weight` is missing, or it is a copy of `wte.weight`.
"""

# V: size of the vocabulary, C: context, D: model width, Q = 3 D (queries, keys and values side by side),
# F: hidden width

from __future__ import annotations

import re

import numpy as np

from minipar.arrays import Arrays, Shapes
from minipar.config import ModelConfig
from minipar.errors import ConfigError, ShapeError, shown

_TOP = {"wte": ("tokens", "VD"), "wpe": ("positions", "CD"), "ln_f": ("norm", "D"), "lm_head": ("head", "VD")}
_LAYER = {
    "ln_1":        ("norm1",         "D"),
    "attn.c_attn": ("attention.qkv", "DQ"),
    "attn.c_proj": ("attention.out", "DD"),
    "ln_2":        ("norm2",         "D"),
    "mlp.c_fc":    ("mlp.up",        "DF"),
    "mlp.c_proj":  ("mlp.down",      "FD"),
}
_WITHOUT_BIAS = {"wte", "wpe", "lm_head"}
_PREFIXES = re.compile(r"^(_orig_mod\.)?(transformer\.)?")
_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
_SHOWN = 3

DIALECTS = ("huggingface", "nanogpt")
Table = list[tuple[str, str, tuple[int, ...]]]  # (GPT-2's name, our name, our shape) of every parameter


def from_gpt2(arrays: Arrays, heads: int | None = None) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """Returns the sizes and the state (for `GPT.load_state_dict`) of a checkpoint in one of the two formats.

    arrays: name -> weights or gradients. heads: the number of heads, which the shapes do not show. None means
    width / 64, as in all models named GPT-2. Arrays are not copied. Raises ShapeError, with the first
    differences, if the arrays are not the arrays of one whole GPT-2. Raises ConfigError if the number of
    heads does not divide the width.
    """
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if not is_mask(name) and found.setdefault(short := _PREFIXES.sub("", name), array) is not array:
            raise ShapeError(f"two arrays are called {shown(short)}, with and without a prefix; remove one",
                             item=short)
    config = _config(found, heads)
    if config.tied:
        found.pop("lm_head.weight", None)
    table = _table(config)
    flipped = _flipped(table, found["h.0.attn.c_attn.weight"].shape == (3 * config.width, config.width))
    wanted = {theirs: shape[::-1] if theirs in flipped else shape for theirs, _, shape in table}
    _require(wanted, found, "these are not the weights of a GPT-2")
    return config, {ours: found[theirs].T if theirs in flipped else found[theirs] for theirs, ours,
                    _ in table}


def our_name(config: ModelConfig, name: str) -> tuple[str, bool]:
    """Returns our name for GPT-2's `name`, and True if the parameter is a matrix of a linear layer. nanoGPT's
    dialect transposes such a matrix. Raises ShapeError if a GPT-2 of these sizes has no such name.
    """
    short = _PREFIXES.sub("", name)
    for theirs, ours, shape in _table(config):
        if theirs == short:
            return ours, theirs.startswith("h.") and len(shape) == 2
    raise ShapeError(f"a GPT-2 of {config.layers} layer(s) has no parameter {name!r}")


def gpt2_names(config: ModelConfig) -> dict[str, str]:
    """Returns a dict: our name -> GPT-2's name of each parameter, without a prefix.

    >>> gpt2_names(ModelConfig(layers=1))["blocks.0.mlp.up.weight"]
    'h.0.mlp.c_fc.weight'
    """
    return {ours: theirs for theirs, ours, _ in _table(config)}


def is_mask(name: str) -> bool:
    """Returns True if an array with this name is a causal mask, not a weight."""
    return _MASK.fullmatch(_PREFIXES.sub("", name)) is not None


def to_gpt2(config: ModelConfig, state: Arrays, dialect: str = "huggingface") -> dict[str, np.ndarray]:
    """Returns a state with the names of a format. It includes `lm_head.weight`, even if the head is tied.
    Arrays are not copied.

    Only nanoGPT's GPT-2 has a variant without biases. Raises ShapeError if the state does not fit the config,
    and ConfigError for another dialect.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"there is no dialect {dialect!r} of GPT-2 names; choose {' or '.join(DIALECTS)}")
    table = _table(config)
    _require({ours: shape for _, ours, shape in table}, state, "this state is not one of the config")
    flipped = _flipped(table, dialect == "nanogpt")
    named = {theirs: state[ours].T if theirs in flipped else state[ours] for theirs, ours, _ in table}
    named.setdefault("lm_head.weight", named["wte.weight"])
    return {name if name == "lm_head.weight" else f"transformer.{name}": array
            for name, array in named.items()}


def _config(found: Arrays, heads: int | None) -> ModelConfig:
    """Returns the sizes, computed from the shapes of five arrays."""
    for name in ("wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"):
        if name not in found or found[name].ndim != 2:
            raise ShapeError(f"these are not the weights of a GPT-2: there is no matrix {name} among the "
                             f"{len(found)} arrays")
    token_table = found["wte.weight"]
    (vocabulary, width), context = token_table.shape, len(found["wpe.weight"])
    sides = found["h.0.mlp.c_fc.weight"].shape
    hidden = sides[0] if sides[1] == width else sides[1]
    if heads is None and width % 64:
        raise ConfigError(f"a width of {width} does not determine the number of heads (GPT-2 has "
                          "width / 64); give their number")
    head = found.get("lm_head.weight")
    return ModelConfig(
        vocabulary, context, layers=len({name.split(".")[1] for name in found if name.startswith("h.")}),
        heads=width // 64 if heads is None else heads, width=width, hidden=0 if hidden == 4 * width
        else hidden, tied=head is None or _same(head, token_table), bias="ln_f.bias" in found)


def _same(head: np.ndarray, token_table: np.ndarray) -> bool:
    """Returns True if the head equals the token table, or if only shapes are known (strides of 0)."""
    return head.shape == token_table.shape and (not any(head.strides) or np.array_equal(head, token_table))


def _table(config: ModelConfig) -> Table:
    D = config.width
    sizes = {"V": config.vocabulary, "C": config.context, "D": D, "Q": 3 * D, "F": config.mlp_width}
    layers = [(f"h.{i}.{theirs}", f"blocks.{i}.{ours}", axes)
              for i in range(config.layers) for theirs, (ours, axes) in _LAYER.items()]
    top = [(theirs, ours, axes) for theirs, (ours, axes) in _TOP.items() if theirs != "lm_head"
           or not config.tied]
    table = []
    for theirs, ours, axes in top[:2] + layers + top[2:]:
        shape = tuple(sizes[axis] for axis in axes)
        table.append((f"{theirs}.weight", f"{ours}.weight", shape))
        if config.bias and theirs not in _WITHOUT_BIAS:
            table.append((f"{theirs}.bias", f"{ours}.bias", shape[-1:]))
    return table


def _flipped(table: Table, nanogpt: bool) -> set[str]:
    """Returns the names of the transposed matrices. In nanoGPT's format they are the matrices of linear
    layers.
    """
    return {theirs for theirs, _, shape in table if theirs.startswith("h.")
            and len(shape) == 2} if nanogpt else set()


def _require(wanted: Shapes, found: Arrays, complaint: str) -> None:
    differences = [f"{name} is missing" if name not in found
                   else f"{name} is {found[name].shape}, not {shape}"
                   for name, shape in wanted.items() if name not in found or found[name].shape != shape]
    differences += [f"{name} is unknown" for name in found if name not in wanted]
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise ShapeError(f"{complaint}: {', '.join(differences[:_SHOWN])}{more}",
                         item=differences[0].split()[0], count=len(differences))
