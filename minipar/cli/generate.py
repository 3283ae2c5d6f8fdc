"""`minipar generate`: generate text with a trained model, on one process or on the ranks of a layout.

    minipar generate --run runs/first --prompt "The "
    minipar generate --run runs/first --prompts prompts.txt --samples 4
    mpirun -n 4 minipar generate --run runs/first --prompt "The " --pp 4

The model is the last checkpoint of a run, or a file of GPT-2 weights with a tokenizer's files.
minipar.inference.engine computes many prompts together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.cli.text_model import add_model_options, require_model_options, text_model
from minipar.comm.collectives.gather_values import one_choice
from minipar.comm.protocol import Communicator
from minipar.errors import ConfigError, DataError
from minipar.inference.completion import Completion, complete
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.replicas import ReplicatedEngine
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.stages_runner import StagesRunner
from minipar.parallel.grid import Grid
from minipar.untrusted.files import MIB, read_bytes

BATCH, ROWS = 32, 256  # largest number of texts in a batch, and of tokens in a forward pass
LARGEST_PROMPTS = 16 * MIB  # largest size in bytes of a file of prompts


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", metavar="TEXT", help="text that the model continues")
    prompt.add_argument("--prompts", type=word, metavar="FILE", help="file with one prompt per line")
    parser.add_argument("--tokens", type=int, default=400, help="number of tokens to generate (default 400)")
    parser.add_argument("--temperature", type=float, default=0.8,
                        help="temperature; 0: always the most likely token (default 0.8)")
    parser.add_argument("--top-k", type=int, default=0,
                        help="sample only from the k most likely tokens; 0: from all (default)")
    parser.add_argument("--top-p", type=float, default=1.0,
                        help="sample only from the most likely tokens whose probabilities sum to p (default "
                             "1: all)")
    parser.add_argument("--min-p", type=float, default=0.0,
                        help="sample only from tokens with at least p times the largest probability (default "
                             "0: all)")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="X",
                        help="make tokens that the text already has less likely: their positive logits are "
                             "divided by X, negative ones multiplied (default 1: no change)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling (default 0)")
    parser.add_argument("--samples", type=int, default=1, metavar="N",
                        help="number of texts for each prompt (default 1)")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT",
                        help="end the text before this text; can be given several times")
    parser.add_argument("--batch", type=int, metavar="N",
                        help=f"number of texts that are computed together (default: all, at most {BATCH})")
    parser.add_argument("--invariant", action="store_true",
                        help="compute the same bits for every --batch; this is slower")
    parser.add_argument("--json", type=word, metavar="FILE", help="also write the texts to this file")
    add_layout_options(parser, training=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.tokens < 0:
        raise ConfigError(f"--tokens is {options.tokens}; it must not be negative")
    if options.batch is not None and options.batch < 1:
        raise ConfigError(f"--batch is {options.batch}; it must be at least 1")
    require_model_options(options)
    if options.json:
        require_file(options.json)
    return on_ranks(options, lambda world: _run_on(world, options))


def _run_on(world: Communicator, options: argparse.Namespace) -> int:
    """Generate the texts. All ranks get the same texts, and rank 0 prints them."""
    prompts = one_choice(world, _prompts(options), "prompts")
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.min_p,
                        options.repetition_penalty, options.seed)
    grid = Grid(world, layout_of(options))
    stages, tokenizer = text_model(grid, options)
    encoded, context = [tokenizer.encode(text).tolist() for text in prompts], stages.config.context
    requests = [TextRequest(tokens[-context:], max(options.tokens, 1), sampling, options.samples,
                            options.stop) for tokens in encoded]
    batch = options.batch or min(BATCH, options.samples * len(prompts))
    sizes = EngineOptions(batch=batch, rows=max(ROWS, batch), invariant=options.invariant)
    engine = Engine(StagesRunner(stages, sizes), tokenizer, sizes)
    results = complete(ReplicatedEngine(engine, grid.dp), requests) if options.tokens else [
        [Completion([], "", "length", [])] * options.samples for _ in prompts]
    if world.rank == 0:
        for line in _long_prompts(encoded, context):
            print(line, file=sys.stderr)
        print("\n".join(_shown(prompts, results)))
        if options.json:
            write_json(options.json, [{"prompt": text, "samples": [asdict(one) for one in samples]}
                                      for text, samples in zip(prompts, results, strict=True)])
    return 0


def _prompts(options: argparse.Namespace) -> list[str]:
    """Return the prompts. Raises DataError for a file without prompts or with an empty line."""
    if options.prompts is None:
        return [options.prompt]
    name = options.prompts
    try:
        lines = read_bytes(Path(name), LARGEST_PROMPTS, DataError).decode("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 at byte {error.start}; convert it") from error
    if not lines or "" in lines:
        where = f"line {lines.index('') + 1} of {name} is empty" if lines else f"{name} is empty"
        raise DataError(f"{where}; write one prompt per line")
    return lines


def _long_prompts(prompts: list[list[int]], context: int) -> Iterator[str]:
    """Return a line about the prompts that are longer than the context. Only their end is used."""
    long = [number for number, tokens in enumerate(prompts, start=1) if len(tokens) > context]
    if long:
        others = f" ({len(long) - 1} more are too long, too)" if len(long) > 1 else ""
        yield (f"minipar generate: prompt {long[0]} has {len(prompts[long[0] - 1]):,} tokens, more than the "
               f"context; only its last {context:,} are used{others}")


def _shown(prompts: list[str], results: list[list[Completion]]) -> Iterator[str]:
    """Yield the texts. If there are several, each has a heading."""
    several = len(prompts) > 1 or len(results[0]) > 1
    for number, (prompt, samples) in enumerate(zip(prompts, results, strict=True), start=1):
        for sample, one in enumerate(samples, start=1):
            if several:
                yield f"# {number}" + (f", sample {sample}" if len(samples) > 1 else "")
            yield prompt + one.text
