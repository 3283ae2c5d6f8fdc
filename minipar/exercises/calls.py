"""Loading a student's file and calling what it defines. Runs in the student's process.

Without a driver.py, a rank calls

    submission.FUNCTION(comm, *arguments)      # (*arguments) alone where the exercise has no comm

A driver.py says it otherwise, with one function; it may import anything, but nothing secret belongs there:

    def drive(submission, comm, *arguments):
        ...
        return {"y": y, "grad x": x.grad}
"""

from __future__ import annotations

import linecache
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from minipar.comm.protocol import Communicator


class SubmissionError(Exception):
    """The file lacks what it must define."""


def load_submission(path: str, source: str) -> types.ModuleType:
    """The student's file as a module. Raises what its top level raises."""
    name = os.path.basename(path).removesuffix(".py")
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # for pickle and dataclasses
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def load_driver(source: str) -> Callable[..., Any] | None:
    if not source:
        return None
    names: dict[str, Any] = {"__name__": "driver"}
    exec(compile(source, "driver.py", "exec"), names)
    drive: Callable[..., Any] = names["drive"]
    return drive


def caller_of(about: Mapping[str, Any]) -> Callable[[Communicator, tuple[Any, ...]], Any]:
    """What a rank calls, as the description of the exercise says: path, source, driver, function, comm,
    program.
    """
    if about["program"]:
        return lambda comm, arguments: run_program(about, comm, arguments)
    submission = load_submission(about["path"], about["source"])
    driver, name = load_driver(about["driver"]), about["function"]
    wants = [word for word in name.split() if word]
    for word in wants:
        if not hasattr(submission, word):
            raise SubmissionError(
                f"{os.path.basename(about['path'])} defines no {word}; keep the name that the stub gave it"
            )

    def call(comm: Communicator, arguments: tuple[Any, ...]) -> Any:
        first = [face(comm)] if about["comm"] == "mpi4py" else [comm] * bool(about["comm"] or driver)
        if driver is not None:
            return driver(submission, *first, *arguments)
        if about["kind"] == "predict":
            return {word: predicted(submission, word) for word in wants}
        return getattr(submission, wants[0])(*first, *arguments)

    return call


def predicted(submission: types.ModuleType, word: str) -> Any:
    if (value := getattr(submission, word)) is None:
        raise NotImplementedError(f"{word} is still None: write down what you expect")
    return value


def face(comm: Communicator) -> Any:
    """A communicator with mpi4py's methods over this one."""
    from importlib import import_module

    return import_module("minipar.mpi4py_face").face(comm)


def run_program(about: Mapping[str, Any], comm: Communicator, arguments: tuple[Any, ...]) -> Any:
    """Run the whole file, as `python FILE` would; returns the global variables that the exercise's function
    names.
    """
    raise SubmissionError("programs need minipar.mpi4py_face, which this installation lacks")
