"""A program for every rank: run the cases of one file of mpi4py's tests, and write what came of each as JSON.

    python cases_of_mpi4py.py MODULE FOLDER          writes FOLDER/RANK.json: {"Class.test": [outcome, last line]}

`tests.mpi4py_face.coverage` copies it beside mpi4py's tests and starts it.
"""

import json
import sys
import unittest
from pathlib import Path

from mpi4py import MPI


class Outcomes(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, str]] = {}

    def put(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        case = getattr(test, "test_case", test)                     # a failing part of a case fails the case
        self.found[".".join(case.id().split(".")[-2:])] = outcome, detail

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.put(test, "died")

    def addSuccess(self, test: unittest.TestCase) -> None:
        if self.found[".".join(test.id().split(".")[-2:])][0] == "died":
            self.put(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.put(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: tuple) -> None:
        self.put(test, "failed", said(err))

    addError = addFailure

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: tuple | None) -> None:
        if err is not None:
            self.put(test, "failed", said(err))


def said(err: tuple) -> str:
    """The error, and the innermost line of the test."""
    kind, error, traceback = err
    line = ""
    while traceback is not None:
        if Path(traceback.tb_frame.f_code.co_filename).name.startswith("test_"):
            line = f" (line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return f"{kind.__name__}: {error}".replace("\n", " ")[:300] + line


def main(module: str, folder: str) -> None:
    rank = MPI.COMM_WORLD.Get_rank()
    outcomes = Outcomes()
    try:
        unittest.TestLoader().loadTestsFromName(module).run(outcomes)
    finally:
        Path(folder, f"{rank}.json").write_text(json.dumps(outcomes.found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
