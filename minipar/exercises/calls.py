"""Load a student's file and call its functions. This module runs in the student's process.

Without a driver.py, a rank calls

    submission.FUNCTION(comm, *arguments)      # only (*arguments) if the exercise has no comm

A driver.py replaces this call by its function `drive`. A driver.py may import anything, but must not contain
secrets:

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
from functools import partial
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.exercises.submission_error import SubmissionError

ExerciseCall = Callable[[Communicator, tuple[Any, ...]], Any]  # (comm, arguments) -> the result of a rank


def load_submission(path: str, source: str) -> types.ModuleType:
    """Load the student's file as a module. An error in the file is raised unchanged."""
    name = os.path.basename(path).removesuffix(".py")
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # pickle and dataclasses need this
    remember(path, source)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def remember(path: str, source: str) -> None:
    """Store the source, so that a traceback shows the executed text even if the file has changed."""
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)


def load_driver(source: str) -> Callable[..., Any] | None:
    if not source:
        return None
    names: dict[str, Any] = {"__name__": "driver"}
    exec(compile(source, "driver.py", "exec"), names)
    drive: Callable[..., Any] = names["drive"]
    return drive


def caller_of(about: Mapping[str, Any]) -> ExerciseCall:
    """Return the function that a rank calls. `about` describes the exercise: path, source, driver, function,
    comm, kind, program.
    """
    words = about["function"].split()
    if about["comm"] == "mpi4py":
        # Not at the top: these are half of a worker's imports.
        from minipar.exercises.mpi4py_calls import install, run_program, with_mpi4py

        install()
    if about["program"]:
        program = compile(about["source"], about["path"], "exec")
        remember(about["path"], about["source"])
        return lambda comm, arguments: run_program(program, words, comm, arguments)
    submission, driver = load_submission(about["path"], about["source"]), load_driver(about["driver"])
    for word in words:
        if not hasattr(submission, word):
            raise SubmissionError(f"{os.path.basename(about['path'])} defines no {word}; keep the name that "
                                  "the stub gave it")
    if about["kind"] == "predict":
        return lambda comm, arguments: {word: predicted(submission, word) for word in words}
    function = partial(driver, submission) if driver is not None else getattr(submission, words[0])
    if about["comm"] == "mpi4py":
        return lambda comm, arguments: with_mpi4py(function, comm, arguments)
    if about["comm"] or driver is not None:
        return lambda comm, arguments: function(comm, *arguments)
    return lambda comm, arguments: function(*arguments)


def predicted(submission: types.ModuleType, word: str) -> Any:
    if (value := getattr(submission, word)) is None:
        raise NotImplementedError(f"{word} is still None: write down what you expect")
    return value
