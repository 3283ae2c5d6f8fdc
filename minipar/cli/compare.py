"""`minipar compare`: compare the gradients of another framework with minipar's gradients on one process.

    minipar compare --gradients gradients
"""

from __future__ import annotations

import argparse

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.ranks import require_one_process
from minipar.proof.equivalent.compare_gradients import compare_gradients


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gradients", type=word, required=True, metavar="DIR",
                        help="folder with layout.json and one file of gradients per rank "
                        "(rank0.safetensors, ...)")
    parser.add_argument("--weights", type=word, metavar="FILE",
                        help="the unsharded weights with GPT-2's names, .safetensors or .npz "
                        "(default: weights.safetensors or weights.npz in DIR)")
    parser.add_argument("--batch", type=word, metavar="FILE",
                        help="an .npz with inputs and targets, integers [B, T] (default: batch.npz in DIR)")
    parser.add_argument("--heads", type=int, help="attention heads (default: width / 64)")
    parser.add_argument("--tolerance", type=float,
                        help="largest difference, relative to the largest element "
                        "(default: depends on the dtype of the files)")
    parser.add_argument("--json", type=word, metavar="FILE", help="write all findings to this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare the gradients. Return exit status 0 if all are equal, 1 if not."""
    require_one_process("minipar compare")
    if options.json:
        require_file(options.json)
    report = compare_gradients(options.gradients, weights=options.weights, batch=options.batch,
                               heads=options.heads, tolerance=options.tolerance)
    print(report)
    if options.json:
        write_json(options.json, report.as_dict())
    return 0 if report.proven else 1
