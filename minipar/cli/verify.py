"""`minipar verify` proves that training on a layout equals training on one process, in every gradient and
weight.

    minipar verify --dp 2 --tp 2 --engine threads
    mpirun -n 8 minipar verify --dp 2 --tp 2 --pp 2
    minipar verify --tp 2 --engine threads --mutant g-forgotten
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import fields, replace

from minipar.cli.files import require_file, write_json
from minipar.cli.options import MODEL, TRAIN, VOCABULARY, add_table, word
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.comm.protocol import Communicator
from minipar.config import COMPRESSED, ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.plan.stages import stages_of
from minipar.proof import (
    Case,
    VerificationReport,
    make_reference,
    prove,
    shared_reference,
    uneven_case,
)
from minipar.proof.bits import ALWAYS, OF_THE_NORM, SGD
from minipar.proof.case import ALGORITHMS
from minipar.proof.mutants import MUTANTS
from minipar.proof.table import finding_rows, verdict, wrapped

STEPS = {flag: TRAIN[flag] for flag in ("--batch", "--micro-batches", "--recompute", "--dtype", "--seed")}
MEANING = {
    "initial weights": "weights before the first step",
    "forward": "inputs and outputs of every region",
    "loss": "loss of the first step",
    "backward": "gradients into and out of every region",
    "gradients": "gradients of the first step",
    "norm": "norm of the gradient",
    "rates": "learning rates of all steps",
    "first update": "weights after the first step of SGD",
    "later gradients": "gradients of steps 2 and 3",
    "later losses": "losses of steps 2 and 3",
    "SGD weights": "weights after 3 steps of SGD",
    "validation loss": "validation loss after these steps",
    "logits": "logits of a text, with a KV cache",
    "tokens": "8 likely, 8 random, 8 top-2 tokens",
    "AdamW losses": "losses of 3 steps of AdamW",
    "clipped norms": "gradient norms for AdamW's clipping",
    "AdamW weights": "weights after 3 steps of AdamW",
    "AdamW state": "AdamW's moments after 3 steps",
    "saved state": "arrays of a checkpoint after step 2",
    "saved numbers": "that checkpoint's step and loss scale",
    "mixed losses": "losses of 2 steps in float16",
    "mixed gradients": "unscaled gradients, first of 2 steps",
    "mixed norms": "gradient norms of 2 float16 steps",
    "loss scales": "loss scales of 4 steps, one skipped",
    "mixed weights": "weights after 2 steps in float16",
    "resume": "state of restored trainers, bitwise",
    "recomputed": "number of ops that backward recomputes",
    "feedback": "applied gradients + residuals = all",
    "memory": "bytes of all buffers, as predicted",
    "collectives": "each algorithm on the layout's groups",
    "derivatives": "gradients by differences of the loss",
    "definitions": "ops, optimisers, rules: other formulas",
    "replicas": "copies on several ranks, bitwise",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    add_layout_options(parser)
    add_table(parser, "model (default: small, with sizes that do not divide)", {**VOCABULARY, **MODEL},
              ModelConfig, notes=False)
    add_table(parser, "training", STEPS, TrainConfig, notes=False)
    parser.add_argument("--serial", action="store_true",
                        help="compare with one process that runs the same micro-batches one after the "
                        "other, not the whole batch (a pipeline with --no-tied then has equal bits of SGD)")
    parser.add_argument("--json", type=word, metavar="FILE", help="write all findings to this file")
    parser.add_argument("--algorithm", default="auto", metavar="NAME",
                        help=f"algorithm of every all-reduce: {', '.join(ALGORITHMS)}")
    parser.add_argument("--mutant", metavar="NAME",
                        help="plant this bug first (see minipar mutants --list)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prove the layout. Return exit status 0 if all checks pass, 1 if not."""
    if options.mutant and options.mutant not in MUTANTS:
        raise ConfigError(f"there is no mutant {options.mutant!r}; see minipar mutants --list")
    names = {field.name for config in (ModelConfig, TrainConfig) for field in fields(config)}
    if options.json and (options.world is None or options.world.rank == 0):
        require_file(options.json)
    case = uneven_case(layout_of(options), **{name: value for name, value in vars(options).items()
                                              if name in names})
    case = replace(case, serial=options.serial, algorithm=options.algorithm)
    bug = MUTANTS[options.mutant].planted if options.mutant else nullcontext
    with bug() if options.mutant and MUTANTS[options.mutant].shared else nullcontext():
        reference = make_reference(case) if options.world is None else shared_reference(options.world, case)

    def on_rank(world: Communicator) -> int:
        report = prove(world, case, reference)
        if world.rank == 0:
            print("\n".join(lines(report)))
            if options.json:
                write_json(options.json, report.as_dict())
        return 0 if report.proven else 1

    with bug():
        return on_ranks(options, on_rank)


def lines(report: VerificationReport) -> list[str]:
    """Return the report as lines of text: a table, explanations of failures, and the verdict."""
    said = [*wrapped(_title(report.case)), "", *finding_rows(report.findings, MEANING)]
    said += ["", f"{'traffic':16}{'of all ranks, in 3 steps of SGD':33}{'counted':>14}{'predicted':>14}"]
    for one in report.traffic:
        if one.proven and not one.messages:                         # the axis has only one rank
            continue
        mark = "" if one.proven else "  WRONG"
        said.append(f"{one.axis:16}{'messages':33}{one.messages:>14,}{one.predicted_messages:>14,}{mark}")
        said.append(f"{one.axis:16}{'bytes':33}{one.bytes:>14,}{one.predicted_bytes:>14,}{mark}")
    notes = [*_coverage(report), *(f"why: {text}" for text in report.explanations),
             *(f"traffic: {one.wrong}" for one in report.traffic if not one.proven), _verdict(report)]
    return [*said, "", *(line for note in notes for line in wrapped(note))]


def _title(case: Case) -> str:
    model, train = case.model, case.train
    return (f"{_layout(case)}: {case.layout.ranks} rank(s), {train.dtype}; vocabulary {model.vocabulary}, "
            f"context {model.context}, "
            f"{model.layers} layer(s), width {model.width}, {model.heads} heads, hidden {model.mlp_width}, "
            f"{'tied' if model.tied else 'untied'}, dropout {model.dropout:g}; batch {train.batch} in "
            f"{train.micro_batches} micro-batch(es)")


def _coverage(report: VerificationReport) -> list[str]:
    """Return lines about the collectives that were used, the tolerance, and the limits of the proof."""
    took = "; ".join(f"{operation} by {', '.join(names)}"
                     for operation, names in report.algorithms.items()) or "no collective"
    return [
        f"used: {took} (--algorithm selects another all-reduce); {report.recomputed} ops recomputed",
        "control: the effect of changing the last bit of the weights, in one process; allowed difference: 64 "
        f"times the control, or {report.tolerance:.2g} if that is more",
        "not covered: other sizes and options than these, more than 3 steps, files, MPI's own collectives; "
        "nor, because the one process has them, too: the model's architecture, its initial values, and which "
        "ops round in mixed precision",
    ]


def _layout(case: Case) -> str:
    layout = case.layout
    stages = len(stages_of(case.model, layout).stage_to_rank)
    pipeline = f", {layout.pipeline} of {stages} stages" if stages > 1 else ""
    sums = f"ZeRO stage {layout.zero}" if layout.zero else f"gradients {layout.gradients}"
    if not layout.reshard_after_forward:
        sums += " without reshard after forward"
    return (f"dp={layout.dp} pp={layout.pp} tp={layout.tp}{' sequence parallel' * layout.sequence_parallel}, "
            f"{sums}{pipeline}")


def _verdict(report: VerificationReport) -> str:
    bound = f"errors up to {report.tolerance:.2g} of an array's largest element"
    if any(one.limit > 2 * report.tolerance for one in report.findings if not one.item.startswith("mixed")):
        bound += ", or 64 times the control"
    loose = {*ALWAYS, *SGD, *OF_THE_NORM} - {*report.exact}
    if "gradients" not in loose:
        bound = f"SGD in every bit, the norm and AdamW with {bound}" if loose else "in every bit"
    if report.case.layout.gradients in COMPRESSED:
        right = (f"{_layout(report.case)}, computes like one process, {bound}, and its messages lose "
                 "nothing: applied gradients and residuals are all gradients; weights are not compared")
        return verdict(report.failed_checks, right)
    right = f"{_layout(report.case)}, trains like one process: {bound}; weights {report.fingerprint}"
    return verdict(report.failed_checks, right)
