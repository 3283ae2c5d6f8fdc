"""The command line: `minipar COMMAND`. Each command is a module here with `add_parser` and `run`.

A user's mistake ends as one line on stderr and exit status 2. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from minipar.cli import doctor, generate, gradcheck, launch, lesson, mutants, schedule, trace, train, verify
from minipar.cli.ranks import entered
from minipar.errors import MiniparError
from minipar.memory import keep_freed_memory

COMMANDS = (train, generate, verify, mutants, gradcheck, schedule, trace, lesson, doctor, launch)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 a mistake of the user, 130 interrupted, 141 nobody reads on."""
    parser = Parser(prog="minipar", description="Learn, and trust, how large models are trained in parallel.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(subparsers)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")                    # a text that the terminal cannot show must not end a run
    try:
        with entered(options):
            status = options.run(options)
        sys.stdout.flush()                                          # here, where a reader that is gone can still be told apart
        return status
    except BrokenPipeError:                                         # as in `minipar ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())          # or the interpreter complains at its end
        return 128 + signal.SIGPIPE
    except MiniparError as error:
        print(f"minipar {options.command}: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"minipar {options.command}: not enough memory: {error}; choose smaller sizes", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"minipar {options.command}: interrupted", file=sys.stderr)
        return 130
