"""`minipar mutants`: plant each classic bug. Show which check detects the bug, and whether a loss curve shows
it.

    minipar mutants --list
    minipar mutants g-forgotten --no-curves
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.screen import hanging
from minipar.errors import ConfigError
from minipar.proof.curves import LAST, OPTIMIZERS, SEEDS, STEPS, Curve, Curves
from minipar.proof.mutants import MUTANTS
from minipar.proof.zoo import trial


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs to plant (default: all)")
    parser.add_argument("--list", action="store_true", help="describe each bug, and run nothing")
    parser.add_argument("--curves", action=argparse.BooleanOptionalAction, default=True,
                        help=f"also train {STEPS} steps with each bug (takes minutes)")
    parser.add_argument("--json", type=word, metavar="FILE", help="write the table to this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return exit status 0 if every bug is detected first by the check that should detect it, else 1."""
    if unknown := [name for name in options.names if name not in MUTANTS]:
        raise ConfigError(f"there is no mutant {unknown[0]!r}; see minipar mutants --list")
    names = options.names or list(MUTANTS)
    if options.list:
        print("\n".join(f"{name}\n{hanging('    ', MUTANTS[name].story)}" for name in names))
        return 0
    if options.json:
        require_file(options.json)
    curves = Curves() if options.curves else None
    rows = [_try(name, curves) for name in tqdm(names, desc="mutants", unit="bug", dynamic_ncols=True)]
    print("\n".join(_table(rows)))
    if options.json:
        write_json(options.json, rows)
    return 0 if all(row["found"] for row in rows) else 1


def _try(name: str, curves: Curves | None) -> dict[str, Any]:
    mutant = MUTANTS[name]
    failed, explanations = trial(mutant)
    shown = {optimizer: curves.of(mutant, optimizer) for optimizer in OPTIMIZERS} if curves else {}
    return {"name": name, "story": mutant.story, "check": mutant.check, "failed_checks": failed,
            "explanations": explanations, "found": failed[:1] == [mutant.check],
            "curves": {optimizer: {**asdict(curve), "shows": curve.shows}
                       for optimizer, curve in shown.items()}}


def _table(rows: list[dict[str, Any]]) -> Iterable[str]:
    optimizers = list(rows[0]["curves"])
    heads = "".join(f"{f'{optimizer} curve off by (seeds)':>34}" for optimizer in optimizers)
    yield f"{'bug':38}{'detected by':18}{heads}"
    for row in rows:
        first = (row["failed_checks"] or ["NOTHING"])[0]
        found = row["check"] if row["found"] else f"{first}, not {row['check']}"
        yield f"{row['name']:38}{found:18}" + "".join(_curve(Curve(one["off"], one["spread"]))
                                                      for one in row["curves"].values())
    yield f"{sum(row['found'] for row in rows)} of {len(rows)} bugs are detected by the expected check"
    for optimizer in optimizers:
        shown = sum(row["curves"][optimizer]["shows"] for row in rows)
        yield f"{shown} of {len(rows)} show in a loss curve of {STEPS} steps of {optimizer}"
    if optimizers:
        yield (f"(a curve shows a bug if its end, the mean of the last {LAST} losses, differs by more than "
               f"correct programs with {SEEDS} different seeds, or if training stops)")


def _curve(curve: Curve) -> str:
    off = "stops" if curve.off is None else f"{curve.off:+.4f} ({curve.spread:.4f})"
    return f"{off:>28}{' shows' if curve.shows else '     -'}"
