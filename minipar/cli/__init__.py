"""The command line: `minipar COMMAND`. Each command is a module here, whose `add_options` says what it takes
and what it runs.

A user's mistake ends as one line on stderr and exit status 2, under mpirun too. Results go to stdout,
progress to stderr.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from minipar.errors import ConfigError, MiniparError
from minipar.malloc import keep_freed_memory

COMMANDS = {  # name of the command and its module: what it does
    "train": "train a GPT on text",
    "generate": "let a trained model write",
    "verify": "prove that a layout trains as one process does",
    "mutants": "plant classic bugs, and see which check finds each",
    "gradcheck": "check every gradient of a small GPT",
    "schedule": "show, prove and simulate pipeline schedules",
    "trace": "time a training step as on a cluster, and draw it",
    "lesson": "list the lessons, or run one",
    "doctor": "check the MPI installation and measure its links",
    "launch": "start a command on several ranks",
}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is an error like the others."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """argparse takes -- away as the mark that ends the options, even in --lr=--, and then has no value
        left.
        """
        if action.nargs is None and action.option_strings and arg_strings == ["--"]:
            self.error(f"argument {'/'.join(action.option_strings)}: -- is no value; write one, or leave the "
                       "option out")
        return super()._get_values(action, arg_strings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 a mistake of the user, 130 interrupted, 141 nobody
    reads on.
    """
    words = sys.argv[1:] if arguments is None else arguments
    first = next((word for word in words if not word.startswith("-")), "")
    name = first if first in COMMANDS else ""
    try:
        return _run(_options(words, name))
    except BrokenPipeError:                                         # as in `minipar ... | head`
        # or the interpreter complains at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except MiniparError as error:
        from minipar.cli.ranks import tell_once

        tell_once(error)  # ends the program where there are several ranks
        print(f"minipar {name}".rstrip() + f": {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"minipar {name}".rstrip() + ": interrupted", file=sys.stderr)
        return 130


def _options(words: Sequence[str], name: str) -> argparse.Namespace:
    """What the words say. Only the module of the command that they name is imported, since some of them take
    a second.
    """
    parser = Parser(prog="minipar", description="Learn, and trust, how large models are trained in parallel.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for each, text in COMMANDS.items():
        commands.add_parser(each, help=text)
    if name:
        module = import_module(f"minipar.cli.{name}")
        commands.choices[name].description = module.__doc__
        module.add_options(commands.choices[name])
    options, unknown = parser.parse_known_args(words)
    if unknown:
        commands.choices[name].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _run(options: argparse.Namespace) -> int:
    """The exit status of the command that the options name."""
    # Not at the top: a page of help does without NumPy.
    from minipar.cli.ranks import entered

    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a text that the terminal cannot show must not end a run
    with entered(options):
        try:
            status = options.run(options)
        except MemoryError as error:
            raise ConfigError(f"not enough memory: {error}; choose smaller sizes") from error
    sys.stdout.flush()  # here, where a reader that is gone can still be told apart
    return status
