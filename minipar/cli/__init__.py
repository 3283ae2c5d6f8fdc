"""The command line: `minipar COMMAND`. Each command is a module here, whose `add_options` says what it takes
and what it runs.

A user's mistake ends as one line on stderr and exit status 2, under mpirun too. Results go to stdout,
progress to stderr. Neither decides over the work: a command whose stdout is closed, full or gone runs to its
end, writes all its files, and then says with its exit status that output is lost. Lost progress changes
nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from minipar.console import consoles, status_of, tell
from minipar.errors import ConfigError, MiniparError
from minipar.malloc import keep_freed_memory

COMMANDS = {  # name of the command and its module: what it does
    "train": "train a GPT on text",
    "generate": "let a trained model write",
    "report": "a finished run as one page of HTML",
    "verify": "prove that a layout trains as one process does",
    "mutants": "plant classic bugs, and see which check finds each",
    "autopsy": "from symptoms of a wrong training to the bug",
    "compare": "compare gradients of another framework with one process",
    "gradcheck": "check every gradient of a small GPT",
    "schedule": "show, prove and simulate pipeline schedules",
    "trace": "time a training step as on a cluster, and draw it",
    "lesson": "list the lessons, or run one",
    "exercise": "practise: 5 lights on what you write (short: ex)",
    "doctor": "check the MPI installation and measure its links",
    "run": "run a program written for mpi4py, checked",
    "launch": "start a command on several ranks",
}
SHORT = {"ex": "exercise"}


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
    """Run one command; returns the exit status: 0 done, 2 a mistake of the user, 130 interrupted.

    Where all went well but what belongs on stdout is lost: 141 if nobody reads on, as in `| head`, otherwise
    74.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    words[:1] = [SHORT.get(word, word) for word in words[:1]]
    first = next((word for word in words if not word.startswith("-")), "")
    name = first if first in COMMANDS else ""
    title = f"minipar {name}".rstrip()
    with consoles() as (out, _):
        status = _ended(words, name, title)
        return status or status_of(out, title)


def _ended(words: Sequence[str], name: str, title: str) -> int:
    """The exit status, once a mistake has been told."""
    try:
        return _run(_options(words, name))
    except MiniparError as error:
        from minipar.cli.ranks import tell_once

        tell_once(error)  # ends the program where there are several ranks
        tell(f"{title}: {error}")
        return 2
    except SystemExit as leaving:                                   # a page of help has been shown
        if leaving.code:
            raise
        return 0
    except KeyboardInterrupt:
        tell(f"{title}: interrupted")
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
    with entered(options):
        try:
            status: int = options.run(options)
            return status
        except MemoryError as error:
            raise ConfigError(f"not enough memory: {error}; choose smaller sizes") from error
