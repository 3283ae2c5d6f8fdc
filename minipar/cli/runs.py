"""`minipar runs`: list the runs of `minipar train`, compare two, plot their
losses, or export them for TensorBoard.

    minipar runs                                  # all runs below runs/
    minipar runs compare runs/a runs/b
    minipar runs plot runs/a runs/b --out losses.png
    minipar runs export runs/a --tensorboard logs
    tensorboard --logdir logs                     # opens the exported files
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minipar.cli.files import require_file, require_folder, write_json
from minipar.cli.options import word
from minipar.cli.runs_text import comparison_lines, run_lines
from minipar.console import tell
from minipar.errors import ConfigError, MiniparError
from minipar.tracking.compare import compare_runs
from minipar.tracking.export import export, names_of
from minipar.tracking.run import TrackedRun, find_runs, read_run

ACTIONS = ("list", "compare", "plot", "export")


def with_action(words: Sequence[str]) -> list[str]:
    """Return the words of the command line. If no action follows "runs", the action "list" is inserted.
    """
    after = words.index("runs") + 1
    first = words[after] if after < len(words) else ""
    return [*words[:after], *([] if first in (*ACTIONS, "-h", "--help") else ["list"]), *words[after:]]


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    list_ = actions.add_parser("list", help="show a table of the runs (also: minipar runs FOLDER)")
    list_.add_argument("folders", nargs="*", type=word, default=["runs"], metavar="FOLDER",
                       help="a run, or a folder with runs (default: runs)")
    compare = actions.add_parser("compare", help="show what differs between two runs, and from which step on")
    compare.add_argument("folders", nargs=2, type=word, metavar="RUN", help="the folder of a run")
    plot = actions.add_parser("plot", help="draw the loss curves of several runs in one picture")
    plot.add_argument("folders", nargs="+", type=word, metavar="RUN", help="the folder of a run")
    plot.add_argument("--out", required=True, type=word, metavar="FILE", help="a .png or .svg file")
    exporting = actions.add_parser("export", help="write event files, which TensorBoard opens")
    exporting.add_argument("folders", nargs="+", type=word, metavar="RUN", help="the folder of a run")
    exporting.add_argument("--tensorboard", required=True, type=word, metavar="DIR",
                           help="TensorBoard's folder; each run becomes a subfolder of it")
    for action, run in ((list_, _list), (compare, _compare), (plot, _plot), (exporting, _export)):
        action.add_argument("--json", type=word, metavar="FILE", help="write the numbers to this file")
        action.set_defaults(run=run)


def _list(options: argparse.Namespace) -> int:
    """Print a table of the runs. A damaged run gives a line on stderr instead, and exit status 2."""
    _require_json(options)
    paths: dict[str, Path] = {}
    for folder in options.folders:
        for path in find_runs(folder):
            paths.setdefault(os.path.realpath(path), path)
    found, damaged = [], []
    for path in paths.values():
        try:
            found.append(_summary(read_run(path)))
        except MiniparError as error:
            tell(f"minipar runs: {error}")
            damaged.append({"folder": str(path), "state": "damaged", "error": str(error)})
    if found:
        print(*run_lines(found), sep="\n")
    if options.json:
        write_json(options.json, {"runs": [*found, *damaged]})
    return 2 if damaged else 0


def _summary(run: TrackedRun) -> dict[str, Any]:
    return {"folder": str(run.folder), "state": run.state, **run.config, **run.figures()}


def _compare(options: argparse.Namespace) -> int:
    _require_json(options)
    a, b = map(read_run, options.folders)
    found = compare_runs(a, b)
    print(*comparison_lines(options.folders, found), sep="\n")
    if options.json:
        write_json(options.json, {"a": str(a.folder), "b": str(b.folder), **asdict(found)})
    return 0


def _plot(options: argparse.Namespace) -> int:
    require_file(options.out, (".png", ".svg"))
    _require_json(options)
    # not imported at the top, since matplotlib takes a second to import
    from minipar.plots.runs import LossCurve, draw_runs
    from minipar.plots.save import save

    runs = [read_run(folder) for folder in options.folders]
    curves = [LossCurve(str(run.folder), run.log.steps.tolist(), run.log.columns["loss"].tolist(),
                        dict(zip(run.log.validation_steps.tolist(), run.log.validations.tolist(),
                                 strict=True))) for run in runs]
    if empty := [curve.label for curve in curves if not curve.steps]:
        raise ConfigError(f"{empty[0]} has no step in its log; leave it out")
    save(draw_runs(curves), options.out)
    if options.json:
        write_json(options.json, {"runs": [curve._asdict() for curve in curves]})
    print(options.out)
    return 0


def _export(options: argparse.Namespace) -> int:
    require_folder(options.tensorboard)
    _require_json(options)
    runs = [read_run(folder) for folder in options.folders]
    names = names_of(runs)
    points = {name: export(run, name, Path(options.tensorboard))
              for name, run in zip(names, runs, strict=True)}
    if options.json:
        write_json(options.json, {"runs": points})
    print(*(f"{len(tags)} curves and histograms: {Path(options.tensorboard) / name}"
            for name, tags in points.items()), sep="\n")
    return 0


def _require_json(options: argparse.Namespace) -> None:
    if options.json:
        require_file(options.json)
