"""`minipar generate`: generate text with a trained model, on one process or on the ranks of a layout."""

from __future__ import annotations

import argparse
import itertools

from minipar.cli.options import word
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.comm.protocol import Communicator
from minipar.errors import ConfigError
from minipar.inference.generate import generate
from minipar.parallel.grid import Grid
from minipar.training.run_folder import RunFolder


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=word, required=True, dest="folder", metavar="DIR",
                        help="folder of the run (--out of minipar train)")
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
    return on_ranks(options, lambda world: _run_on(world, options))


def _run_on(world: Communicator, options: argparse.Namespace) -> int:
    """All ranks generate the same tokens; rank 0 prints them."""
    stages, tokenizer = RunFolder(options.folder).stages(Grid(world, layout_of(options)))
    prompt = tokenizer.encode(options.prompt).tolist()
    tokens = generate(stages, prompt, temperature=options.temperature, top_k=options.top_k, seed=options.seed)
    text = tokenizer.decode(list(itertools.islice(tokens, options.tokens)))
    if world.rank == 0:
        print(options.prompt + text)
    return 0
