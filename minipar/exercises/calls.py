"""Loads a student's file and calls its functions. This module runs in the student's process.

Normally a rank calls

    submission.FUNCTION(comm, *arguments)      # only (*arguments) if the exercise has no comm

If the exercise has a driver.py, a rank calls the function `drive` of driver.py instead. driver.py may import
anything, but it must not contain secrets, because the student's code can read it:

    def drive(submission, comm, *arguments):
        ...
        return {"y": y, "grad x": x.grad}
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.errors import CommError, MiniparError
from minipar.exercises.submission_error import SubmissionError
from minipar.exercises.unpack import checked, in_order

ExerciseCall = Callable[[Communicator, tuple[Any, ...]], Any]  # (comm, arguments) -> the result of a rank


def load_submission(path: str, source: str) -> types.ModuleType:
    """Load the student's file as a module. If the file raises an error, this function raises it unchanged."""
    name = os.path.basename(path).removesuffix(".py")
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # pickle and dataclasses need this
    remember(path, source)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def remember(path: str, source: str) -> None:
    """Store the source for tracebacks. So a traceback shows the text that runs, even if the file has changed
    since.
    """
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)


def load_driver(source: str) -> Callable[..., Any] | None:
    if not source:
        return None
    names: dict[str, Any] = {"__name__": "driver", "in_order": in_order}
    exec(compile(checked(source), "driver.py", "exec"), names)
    drive: Callable[..., Any] = names["drive"]
    return drive


def caller_of(about: Mapping[str, Any]) -> ExerciseCall:
    """Return the function that a rank calls. about: describes the exercise, with the keys path, source,
    driver, function, comm, kind and program.
    """
    words = about["function"].split()
    if about["comm"] == "mpi4py":
        # This import is here because it takes half of a worker's start, and few exercises need it.
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
    function = (partial(driven, driver, about, submission) if driver is not None
                else getattr(submission, words[0]))
    if about["comm"] == "mpi4py":
        return lambda comm, arguments: with_mpi4py(function, comm, arguments)
    if about["comm"] or driver is not None:
        return lambda comm, arguments: function(comm, *arguments)
    return lambda comm, arguments: function(*arguments)


def driven(driver: Callable[..., Any], about: Mapping[str, Any], submission: types.ModuleType,
           *arguments: Any) -> Any:
    """Call the driver. Raises SubmissionError if the driver cannot use what a function of the submission
    returned.
    """
    try:
        return driver(submission, *arguments)
    except (TypeError, ValueError, LookupError, AttributeError, MiniparError) as error:
        if isinstance(error, CommError):
            raise
        names = unusable(error, about["path"], about["driver"])
        if names and not any(str(error).startswith(f"{name}()") for name in names):
            raise SubmissionError(f"{' or '.join(names)} does not return what the task asks for "
                                  f"({type(error).__name__}: {error})") from error
        raise


def unusable(error: BaseException, path: str, driver: str) -> list[str]:
    """Return the names of the student's functions whose results the failing line of the driver uses."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "driver.py" and frame.lineno]
    if not lines or any(frame.filename == path for frame in frames):
        return []
    line = driver.splitlines()[lines[-1] - 1]
    words = re.findall(r"[A-Za-z_]\w*", line)
    made = [re.search(rf"^ *{word} = submission\..*", driver, re.M) for word in words]
    uses = [line, *(one[0] for one in made if one)]
    calls = [re.findall(r"submission\.(\w+)\(", one) for one in uses]
    return list(dict.fromkeys(next(filter(None, calls), [])))


def predicted(submission: types.ModuleType, word: str) -> Any:
    if (value := getattr(submission, word)) is None:
        raise NotImplementedError(f"{word} is still None: write down what you expect")
    return value
