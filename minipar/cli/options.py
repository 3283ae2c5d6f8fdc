"""Options that several commands share, as tables: flag, config field, help text."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from typing import Any

from minipar.config import PRESETS, ModelConfig, TrainConfig

# flag -> the field of ModelConfig and the help text
VOCABULARY = {"--vocabulary": ("vocabulary", "number of different tokens")}  # training takes it from the text
SIZES = {
    "--layers": ("layers", "blocks of attention and MLP"),
    "--heads": ("heads", "attention heads; must divide the width"),
    "--width": ("width", "model width"),
    "--hidden": ("hidden", "width inside the MLP; 0 for four times the width"),
    "--context": ("context", "tokens that the model sees at once"),
}
MODEL = {**SIZES, "--dropout": ("dropout", "rate of dropout")}
TRAIN = {
    "--data": (
        "data",
        "a UTF-8 file, or a folder of them (default: Python's own documentation)",
    ),
    "--tokenizer": ("tokenizer", "char, byte, or bpe:1024 (byte pairs, learned from the text; 1,024 tokens)"),
    "--batch": ("batch", "samples per step"),
    "--micro-batches": ("micro_batches", "number of micro-batches per batch"),
    "--steps": ("steps", "number of steps"),
    "--lr": ("lr", "peak learning rate"),
    "--schedule": ("schedule", "cosine or constant"),
    "--warm-up": ("warm_up", "steps until the peak"),
    "--optimizer": ("optimizer", "sgd, adagrad, adam or adamw"),
    "--weight-decay": ("weight_decay", "weight decay, for matrices only"),
    "--clip": ("clip", "largest norm of the gradient; 0 for no limit"),
    "--recompute": (
        "recompute",
        "activations that backward recomputes to save memory: none, selective (attention) or full (blocks)",
    ),
    "--dtype": ("dtype", "float32 or float64"),
    "--precision": ("precision", "precision of matrix products: float32, float16 or bfloat16"),
    "--loss-scale": ("loss_scale", "loss scale of float16; 0: dynamic"),
    "--seed": ("seed", "seed of weights, batches and dropout"),
    "--validate-every": ("validate_every", "steps between validations"),
    "--save-every": ("save_every", "steps between checkpoints"),
}


def word(text: str) -> str:
    """Parse an option that is a name. Raises an error for an empty text, which may come from a shell variable
    that is not set.
    """
    if not text:
        raise argparse.ArgumentTypeError("the value is empty; give a name, or leave the option out")
    return text


def positive(text: str) -> int:
    """Parse an option that is a whole number of at least 1."""
    if re.fullmatch("0*[1-9][0-9]{0,8}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number >= 1")
    return int(text)


def natural(text: str) -> int:
    """Parse an option that is a whole number of at least 0, such as a seed."""
    if re.fullmatch("[0-9]{1,18}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0")
    return int(text)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add all options of TRAIN and MODEL. An option that the user does not give is absent from the result,
    so a preset can set it.
    """
    add_table(parser, "training", TRAIN, TrainConfig)
    add_table(parser, "model", MODEL, ModelConfig)
    parser.add_argument("--preset", choices=sorted(PRESETS),
                        help="a set of sizes and options; other options replace its values")


def add_table(parser: argparse.ArgumentParser, title: str, table: dict[str, tuple[str, str]], config: type, *,
              notes: bool = True) -> None:
    """Add a group of options for fields of a config. For a model, also add --tied and --bias. notes: show the
    config's defaults in the help.
    """
    group = parser.add_argument_group(title)
    defaults = {field.name: field.default for field in fields(config)}
    for flag, (name, text) in table.items():
        default: Any = defaults[name]
        note = f" (default {default})" if notes and default != "" else ""
        kind = word if isinstance(default, str) else type(default)
        group.add_argument(flag, dest=name, type=kind, default=argparse.SUPPRESS, metavar=name.upper(),
                           help=text + note)
    if config is ModelConfig:
        for flag, text in (("tied", "the output layer uses the matrix of the token embedding"),
                           ("bias", "linear layers and LayerNorms have biases")):
            group.add_argument(f"--{flag}", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS,
                               help=f"{text} (the default)")


def given(options: argparse.Namespace, config: type) -> dict[str, Any]:
    """Return the fields of a config that the command line or the preset gives. The command line has priority.
    """
    values = {**PRESETS.get(options.preset or "", {}), **vars(options)}
    return {field.name: values[field.name] for field in fields(config) if field.name in values}
