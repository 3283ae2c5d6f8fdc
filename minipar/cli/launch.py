"""`minipar launch`: start a command on several ranks, with the launcher and the flags for this machine.

    minipar launch -n 4 minipar verify --dp 4
"""

from __future__ import annotations

import argparse
import os

from minipar.cli.options import word
from minipar.launcher.launch import launch


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", type=int, required=True, dest="ranks", metavar="RANKS", help="number of ranks")
    parser.add_argument("--hostfile", type=word, metavar="FILE",
                        help="file with the hosts to use, in the launcher's own format")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND",
                        help="the command that each rank runs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the job; returns its exit status."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    return launch(options.ranks, words, os.environ, options.hostfile)
