"""`minipar generate`: generate text with a trained model, on one process or on the ranks of a layout.

The model is the last checkpoint of a run, or a file of GPT-2 weights with a tokenizer's files.
"""

from __future__ import annotations

import argparse
import itertools

from minipar.checkpoint.fingerprint import fingerprint
from minipar.checkpoint.gpt2 import load_gpt2
from minipar.checkpoint.tokenizer_files import load_tokenizer
from minipar.cli.options import word
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.comm.collectives.gather_values import same_everywhere
from minipar.comm.protocol import Communicator
from minipar.data.tokenizer import Tokenizer
from minipar.errors import CheckpointError, ConfigError
from minipar.inference.generate import generate
from minipar.inference.stages import stages_of
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages
from minipar.training.run_folder import RunFolder


def add_options(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=word, dest="folder", metavar="DIR",
                       help="folder of the run (--out of minipar train)")
    model.add_argument("--weights", type=word, metavar="FILE", help="GPT-2 weights: .safetensors or .npz")
    parser.add_argument("--tokenizer", type=word, metavar="PATH",
                        help="with --weights: tokenizer.json, vocab.json (beside merges.txt), or the folder")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="text that the model continues")
    parser.add_argument("--tokens", type=int, default=400, help="number of tokens to generate (default 400)")
    parser.add_argument("--temperature", type=float, default=0.8,
                        help="0: always the most likely token (default 0.8)")
    parser.add_argument("--top-k", type=int, default=0,
                        help="sample only from the k most likely tokens; 0: from all (default)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling (default 0)")
    add_layout_options(parser, training=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.tokens < 0:
        raise ConfigError(f"--tokens is {options.tokens}; it must not be negative")
    if (options.weights is None) != (options.tokenizer is None):
        raise ConfigError("--weights and --tokenizer belong together: a file of GPT-2 weights, and the files "
                          "of its tokenizer (a run holds its own)")
    return on_ranks(options, lambda world: _run_on(world, options))


def _run_on(world: Communicator, options: argparse.Namespace) -> int:
    """All ranks generate the same tokens; rank 0 prints them."""
    stages, tokenizer = _model(Grid(world, layout_of(options)), options)
    prompt = tokenizer.encode(options.prompt).tolist()
    tokens = generate(stages, prompt, temperature=options.temperature, top_k=options.top_k, seed=options.seed)
    text = tokenizer.decode(list(itertools.islice(tokens, options.tokens)))
    if world.rank == 0:
        print(options.prompt + text)
    return 0


def _model(grid: Grid, options: argparse.Namespace) -> tuple[Stages, Tokenizer]:
    """This rank's stages of the model, and its tokenizer."""
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
