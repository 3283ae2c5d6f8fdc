"""Loads the model for text generation. It is the last checkpoint of a run, or a file of GPT-2 weights with
the files of a tokenizer.
"""

from __future__ import annotations

import argparse

from minipar.checkpoint.fingerprint import fingerprint
from minipar.checkpoint.gpt2 import load_gpt2
from minipar.checkpoint.tokenizer_files import load_tokenizer
from minipar.cli.options import word
from minipar.comm.collectives.gather_values import same_everywhere
from minipar.data.tokenizer import Tokenizer
from minipar.errors import CheckpointError, ConfigError
from minipar.inference.stages import stages_of
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages
from minipar.training.run_folder import RunFolder


def add_model_options(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=word, dest="folder", metavar="DIR",
                       help="folder of the run (--out of minipar train)")
    model.add_argument("--weights", type=word, metavar="FILE", help="GPT-2 weights: .safetensors or .npz")
    parser.add_argument("--tokenizer", type=word, metavar="PATH",
                        help="with --weights: tokenizer.json, vocab.json (beside merges.txt), or the folder")


def require_model_options(options: argparse.Namespace) -> None:
    """Raises ConfigError for weights without a tokenizer, and for a tokenizer without weights."""
    if (options.weights is None) != (options.tokenizer is None):
        raise ConfigError("--weights and --tokenizer belong together: a file of GPT-2 weights, and the files "
                          "of its tokenizer (a run holds its own)")


def text_model(grid: Grid, options: argparse.Namespace) -> tuple[Stages, Tokenizer]:
    """Return this rank's stages of the model, and its tokenizer."""
    if options.weights is None:
        return RunFolder(options.folder).stages(grid)
    config, weights = load_gpt2(options.weights, world=grid.world)
    tokenizer = load_tokenizer(options.tokenizer)
    if not same_everywhere(grid.world, fingerprint({}, tokenizer.to_dict()), "tokenizer"):
        raise CheckpointError(f"{options.tokenizer} differs between the hosts; give all ranks the same files")
    if tokenizer.vocab_size != config.vocabulary:
        raise CheckpointError(f"{options.tokenizer} has {tokenizer.vocab_size:,} tokens, the model of "
                              f"{options.weights} {config.vocabulary:,}; give the tokenizer of this model")
    return stages_of(config, weights, grid), tokenizer
