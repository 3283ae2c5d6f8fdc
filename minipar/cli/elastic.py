"""`minipar elastic`: add ranks to a running `minipar train --elastic`, or remove some.

    minipar elastic add runs/elastic 2
    minipar elastic remove runs/elastic 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from minipar.cli.elastic_requests import request
from minipar.cli.options import word
from minipar.errors import ConfigError


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("add", "remove"), help="add ranks, or remove ranks")
    parser.add_argument("folder", type=word, metavar="RUN", help="folder of the run (--out of minipar train)")
    parser.add_argument("ranks", type=int, metavar="N", help="number of ranks to add or remove")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.ranks < 1:
        raise ConfigError(f"cannot {options.action} {options.ranks} ranks; give 1 or more")
    change = options.ranks if options.action == "add" else -options.ranks
    state = request(Path(options.folder), change)
    ranks = state.ranks + change
    spare = f"; its largest layout uses {state.most}, the others are spare" if ranks > state.most else ""
    print(f"{state.ranks} ranks become {ranks} after the current step{spare}")
    return 0
