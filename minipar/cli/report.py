"""`minipar report` writes an HTML page about a finished run: the file index.html in the run's folder.

    minipar report runs/first
"""

from __future__ import annotations

import argparse
from pathlib import Path

from minipar.checkpoint.atomic import replacing
from minipar.cli.options import word
from minipar.errors import ConfigError
from minipar.training.page import page
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=word, metavar="RUN", help="the folder of the run")
    parser.add_argument("--proof", type=word, metavar="FILE",
                        help="also show this proof, a file that minipar verify --json wrote")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    proof = None
    if options.proof:
        try:
            proof = parse_json(read_bytes(options.proof, 16 * MIB, ConfigError), options.proof, ConfigError)
        except OSError as error:
            raise ConfigError(f"{options.proof} cannot be read: {error.strerror}") from error
    folder = Path(options.run_folder)
    text = page(folder, proof)
    with replacing(folder / "index.html") as file:
        file.write(text.encode(errors="backslashreplace"))        # a name may not be UTF-8
    print(folder / "index.html")
    return 0
