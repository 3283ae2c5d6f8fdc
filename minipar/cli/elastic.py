"""`minipar elastic`: add ranks to a running `minipar train --elastic`, or remove some."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from minipar.checkpoint.atomic import replacing
from minipar.cli.options import word
from minipar.cli.supervisor import STATE
from minipar.errors import CheckpointError, ConfigError
from minipar.records import is_whole
from minipar.training.supervised import REQUEST
from minipar.untrusted.files import KIB, read_bytes
from minipar.untrusted.plain import parse_json


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("add", "remove"), help="add ranks, or remove ranks")
    parser.add_argument("folder", type=word, metavar="RUN", help="folder of the run (--out of minipar train)")
    parser.add_argument("ranks", type=int, metavar="N", help="how many")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.ranks < 1:
        raise ConfigError(f"cannot {options.action} {options.ranks} ranks; give 1 or more")
    state = _supervisor(Path(options.folder))
    ranks = state["ranks"] + (options.ranks if options.action == "add" else -options.ranks)
    if ranks < 1:
        raise ConfigError(f"the training has {state['ranks']} ranks; {options.ranks} fewer leave none")
    with replacing(Path(str(state["memory"])) / REQUEST) as file:
        file.write(json.dumps({"ranks": ranks}).encode())
    print(f"{state['ranks']} ranks become {ranks} after the current step")
    return 0


def _supervisor(folder: Path) -> dict[str, Any]:
    """What the supervisor of this run says about itself. Raises CheckpointError if none is running."""
    path = folder / STATE
    try:
        state = parse_json(read_bytes(path, KIB, CheckpointError), path, CheckpointError)
        alive = isinstance(state, dict) and is_whole(state.get("pid")) and is_whole(state.get("ranks"))
        if alive and Path(str(state.get("memory"))).is_dir():
            os.kill(state["pid"], 0)
            return dict(state)
    except OSError:
        pass
    raise CheckpointError(f"no elastic training runs in {folder}; start one with: minipar train --elastic "
                          f"--out {folder}")
