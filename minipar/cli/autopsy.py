"""`minipar autopsy`: find the known bugs that explain the symptoms of a wrong training.

    minipar autopsy --ratio 1/4 --which row-biases --layout tp=4
    minipar autopsy --metrics right.jsonl wrong.jsonl
"""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.ranks import require_one_process
from minipar.errors import ConfigError
from minipar.proof.autopsy.autopsy import Suspect, autopsy
from minipar.proof.autopsy.evidence import from_arrays, from_metrics, two_files
from minipar.proof.autopsy.symptoms import WHICH, Symptoms, layout_of, ratio_of, require_which

WIDTH = 78


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ratio", type=word, metavar="NUMBER",
                        help="wrong value divided by right value: 4, 1/4, or varies (if it "
                        "differs between ranks or elements)")
    parser.add_argument("--which", type=word, nargs="+", default=[], metavar="WHAT",
                        help="what is wrong: "
                        + "; ".join(f"{name} ({text})" for name, text in WHICH.items()))
    parser.add_argument("--layout", type=word, metavar="dp=2,tp=4",
                        help="layout of the wrong run: dp, tp, pp and micro-batches")
    for name, what in (("metrics", "metrics.jsonl"), ("gradients", "gradients, .npz or .safetensors"),
                       ("checkpoints", "weights, .npz or .safetensors")):
        parser.add_argument(f"--{name}", type=word, nargs=2, metavar=("RIGHT", "WRONG"),
                            help=f"find symptoms in two files of {what}")
    parser.add_argument("--most", type=int, default=5, help="number of bugs to show (default 5)")
    parser.add_argument("--json", type=word, metavar="FILE", help="write all bugs to this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the bugs that explain the symptoms. Return exit status 0 if there are any, 1 if not."""
    require_one_process("minipar autopsy")
    if options.most < 1:
        raise ConfigError(f"most is {options.most}; choose 1 or more")
    if options.json:
        require_file(options.json)
    symptoms, seen = _symptoms(options)
    if seen and not symptoms.which and symptoms.ratio is None:
        print(f"{seen}: there is nothing to explain")
        return 1
    suspects = autopsy(symptoms)
    if seen:
        print(f"seen: {seen}\n")
    for number, suspect in enumerate(suspects[:options.most], 1):
        print("\n".join(_lines(number, suspect)))
    print(f"{len(suspects)} of the known bugs explain this; the most likely first" if suspects
          else "no known bug explains this: see minipar mutants --list")
    if options.json:
        write_json(options.json, [one.as_dict() for one in suspects])
    return 0 if suspects else 1


def _symptoms(options: argparse.Namespace) -> tuple[Symptoms, str]:
    """Return the symptoms in the options and in the files. Also return a text about the files' symptoms.
    """
    which, ratio = require_which(options.which), None if options.ratio is None else ratio_of(options.ratio)
    found: list[Any] = []
    if options.metrics:
        found.append(from_metrics(*two_files(options.metrics)))
    for name in ("gradients", "checkpoints"):
        if files := getattr(options, name):
            found.append(from_arrays(*two_files(files), "gradients" if name == "gradients" else "weights"))
    for more, factor, _ in found:
        which |= more
        ratio = factor if ratio is None else ratio
    return Symptoms(ratio, which, layout_of(options.layout or "")), "; ".join(text for *_, text in found)


def _lines(number: int, suspect: Suspect) -> list[str]:
    mutant, reports = suspect.bug.mutant, ", ".join(suspect.bug.reports)
    texts = [mutant.story, f"fits: {', '.join(suspect.fits)}; seen first by the check: {mutant.check}",
             *([f"reported as {reports}"] if reports else []), f"try: {suspect.command}"]
    body = [line for text in texts
            for line in textwrap.wrap(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)]
    return [f"{number}. {mutant.name}", *(f"    {line}" for line in body), ""]
