"""The command line: `minipar COMMAND`. Each command is a module of this package. The module's `add_options`
declares the command's options and the function to run.

If the user makes a mistake, the command writes one line to stderr and ends with exit status 2, also under
mpirun. Results go to stdout, progress to stderr. If stdout is closed or full, a command still runs to its end
and writes all its files. Then its exit status reports the lost output. Lost progress does not change the exit
status.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, NoReturn

from minipar.cli.help_format import HelpFormatter
from minipar.cli.interruption import interrupted_by_signals, is_handled
from minipar.console import consoles, status_of, tell
from minipar.errors import ConfigError, MiniparError
from minipar.malloc import keep_freed_memory

COMMANDS = {  # the commands with their descriptions; `command_module` finds a command's module
    "train": "train a GPT on text",
    "elastic": "add ranks to a running elastic training, or remove some",
    "reshard": "write a run's state as one file per rank, or read such files",
    "generate": "generate text with a trained model",
    "serve": "generate text for other programs, over HTTP",
    "bench-serve": "measure latency and throughput of serve",
    "report": "write one HTML page about a finished run",
    "runs": "list, compare and plot runs; export them for TensorBoard",
    "verify": "prove that a layout trains like one process",
    "mutants": "plant classic bugs, and show which check detects each",
    "autopsy": "find the bug that explains a wrong training",
    "compare": "compare gradients of another framework with one process",
    "gradcheck": "check every gradient of a small GPT",
    "schedule": "show, prove and simulate pipeline schedules",
    "trace": "time a training step as on a cluster, and draw it",
    "plan": "find the fastest layouts of a model on a cluster",
    "lesson": "list the lessons, or run one",
    "exercise": "practise: 5 lights judge your code (short: ex)",
    "doctor": "check the MPI installation and measure its links",
    "run": "run a program for mpi4py with minipar's checks",
    "launch": "start a command on several ranks",
}
SHORT = {"ex": "exercise"}


BEGIN = """`minipar COMMAND --help` explains a command and its options. Begin with one of these:

    minipar lesson teach 0                         # your first parallel program
    minipar train --steps 200 --out runs/first     # train a small GPT
    minipar verify --dp 2 --engine threads         # prove a layout
"""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises ConfigError for a wrong command line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Raises ConfigError if the value of an option is --. In argparse, -- ends the options. So argparse
        would remove it and then find no value.
        """
        if action.nargs is None and action.option_strings and arg_strings == ["--"]:
            self.error(f"argument {'/'.join(action.option_strings)}: -- is not a value; give one, or leave "
                       "the option out")
        return super()._get_values(action, arg_strings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 for success, 2 for a user's mistake, 130 after Ctrl-C,
    and 128 + the number of another signal.

    If the command succeeded but its output is lost, the status is 141 or 74. It is 141 if the reader of the
    output has ended, as in `| head`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    words[:1] = [SHORT.get(word, word) for word in words[:1]]
    first = next((word for word in words if not word.startswith("-")), "")
    name = first if first in COMMANDS else ""
    title = f"minipar {name}".rstrip()
    with consoles() as (out, _), _signals(name):
        status = _ended(words, name, title)
        return status or status_of(out, title)


def _ended(words: Sequence[str], name: str, title: str) -> int:
    """Run the command, and report a user's mistake on stderr; returns the exit status."""
    try:
        return _run(parsed(words, name))
    except MiniparError as error:
        from minipar.cli.ranks import tell_once

        tell_once(error)  # with several ranks, this call ends the program
        tell(f"{title}: {error}")
        return 2
    except SystemExit as leaving:                                   # argparse has shown a help page
        if leaving.code:
            raise
        return 0
    except KeyboardInterrupt as error:
        is_handled(error)
        from minipar.comm.diagnostics.exit_report import interruption

        text, status = interruption(error)
        tell(f"{title}: {text}")
        return status


def _signals(name: str) -> AbstractContextManager[None]:
    """The context that handles signals during a command. `run` executes a user's program, so it leaves all
    signals as they are.
    """
    return nullcontext() if name == "run" else interrupted_by_signals()


def parsed(words: Sequence[str], name: str) -> argparse.Namespace:
    """Parse the command line. Only the module of the named command is imported, since some modules take a
    second to import.
    """
    parser = Parser(prog="minipar", description="Learn how large models are trained in parallel.",
                    epilog=BEGIN)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for each, text in COMMANDS.items():
        commands.add_parser(each, help=text)
    if name:
        module = command_module(name)
        words = getattr(module, "with_action", list)(words)
        commands.choices[name].description = module.__doc__
        module.add_options(commands.choices[name])
    options, unknown = parser.parse_known_args(words)
    if unknown:
        commands.choices[name].error(f"unrecognized arguments: {' '.join(unknown)}")
    options.command_line = list(words)  # a command may have an option called words
    return options


def command_module(name: str) -> Any:
    """Import the module of a command. Example: "bench-serve" is minipar.cli.bench_serve."""
    return import_module(f"minipar.cli.{name.replace('-', '_')}")


def _require_current_folder() -> None:
    """Raises ConfigError if the current folder was deleted. Then Python cannot resolve relative paths."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise ConfigError("the current folder was deleted; cd to another folder") from error


def _run(options: argparse.Namespace) -> int:
    """Run the command of the options; returns its exit status."""
    # not imported at the top, since --help must not import NumPy
    from minipar.cli.ranks import entered

    if options.command != "run":  # `run` leaves the memory of a user's program as Python has it
        keep_freed_memory()
    with entered(options):
        try:
            status: int = options.run(options)
            return status
        except MemoryError as error:
            said = f": {error}" if str(error) else ""
            raise ConfigError(f"not enough memory{said}; choose smaller sizes") from error
        except OSError as error:
            if error.filename is None:  # the error is not about a file of the user
                _require_current_folder()
                raise
            raise ConfigError(f"{error.filename}: {error.strerror}; choose another path") from error
