"""`minipar reshard` writes the state of a run as one file per rank (rank files), or makes a run from such
files.

    minipar reshard runs/first --dp 2 --tp 2 --out rank-files
    minipar reshard rank-files --out runs/again

A run's checkpoint holds whole arrays, so `minipar train --resume RUN` works with any layout. But other
programs need one file per rank, with the weights and the optimiser's state of this rank. With layout options,
the result is a folder of rank files. Without layout options, the result is a new run, which `minipar train
--resume RUN` continues.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields
from pathlib import Path

from minipar.checkpoint.atomic import replacing
from minipar.checkpoint.atomic_folder import creating
from minipar.checkpoint.contents import require_meta
from minipar.checkpoint.folder import Checkpoints
from minipar.cli.options import word
from minipar.cli.ranks import add_axes, add_pipeline_options
from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.parallel.rank_elements import RankLayout, rank_layout
from minipar.training.rank_files import LAYOUT, SUFFIXES, read_rank_files, write_rank_files
from minipar.training.run_folder import RunFolder
from minipar.training.state import TrainingState


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=word, metavar="FOLDER",
                        help="a run (--out of minipar train), or a folder of rank files")
    parser.add_argument("--out", type=word, required=True, metavar="DIR", help="the new folder")
    parser.add_argument("--format", choices=SUFFIXES, default=SUFFIXES[0], help="format of the rank files "
                        f"(default {SUFFIXES[0]})")
    group = parser.add_argument_group("layout", "layout of the rank files; without one, the result is a run")
    add_axes(group)
    add_pipeline_options(group)
    # a layout option that is not given is None
    parser.set_defaults(run=run, **{field.name: None for field in fields(Layout) if field.name != "cp"})


def run(options: argparse.Namespace) -> int:
    given = {field.name: value for field in fields(Layout)
             if (value := getattr(options, field.name, None)) is not None}
    source, out = Path(options.folder), Path(options.out)
    has_ranks = (source / LAYOUT).exists()
    if not has_ranks and not given:
        raise ConfigError(f"{source} is not a folder of rank files; to write the rank files of a run, "
                          "give --dp, --tp, --pp or --zero")
    with creating(out) as folder:
        if has_ranks:
            (arrays, meta), _ = read_rank_files(source)
        else:
            _, arrays, meta = RunFolder(source).latest()
        if given:
            layout = rank_layout(require_meta(meta, source)[0], Layout(**given))
            sizes = write_rank_files(folder, arrays, meta, layout, options.format)
            text = f"{_shown(layout)}, {min(sizes):,} to {max(sizes):,} bytes each"
        else:
            _write_run(folder, (arrays, meta))
            text = f"go on with: minipar train --resume {out}"
    print(f"the state after step {meta['done']} of {source} is in {out}: {text}")
    return 0


def _write_run(folder: Path, state: TrainingState) -> None:
    """Write the folder of a run with one checkpoint."""
    arrays, meta = state
    loss = meta.get("loss")
    loss = None if loss is None else float(loss)
    Checkpoints(folder / "checkpoints").save(meta["done"], arrays, meta, loss)
    config = {"model": meta["model"], "train": meta["train"], "layout": asdict(Layout()), "trace": False}
    with replacing(folder / "config.json") as file:
        file.write((json.dumps(config, indent=2) + "\n").encode())


def _shown(layout: RankLayout) -> str:
    axes = [f"{axis}={size}" for axis in ("dp", "tp", "pp", "zero") if (size := getattr(layout, axis)) > 1
            or axis == "zero" and size]
    return f"{layout.ranks} rank files" + (f", {' '.join(axes)}" if axes else "")
