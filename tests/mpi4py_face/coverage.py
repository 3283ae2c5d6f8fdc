"""mpi4py's own tests on minipar's face: how many pass, and why the others do not.

    python -m tests.mpi4py_face.coverage FOLDER [MODULE ...] [--ranks 1 2 3 5] [--page]

FOLDER is the folder `test` of mpi4py's source (github.com/mpi4py/mpi4py). Each file runs with plain mpi4py on
one rank, with `minipar run -n N` and with `mpirun -n N minipar run`. A case counts if it passes with plain
mpi4py; with minipar it passes if it passes on every rank. --page writes minipar/mpi4py_face/COVERAGE.md. It
takes about half an hour for all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from minipar.launcher.launch import find_launcher, launch_command, rank_environment
from tests.commands import command

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "minipar" / "mpi4py_face" / "COVERAGE.md"
MODULES = ("test_p2p_buf", "test_p2p_obj", "test_cco_buf", "test_cco_obj", "test_cco_vec", "test_cco_nb_buf",
           "test_request", "test_status", "test_op", "test_group", "test_comm", "test_comm_topo")
RANKS = (1, 2, 3, 5)
WAYS = ("plain", "threads", "mpirun")
Outcome = tuple[str, str]  # "passed", "skipped", "failed" or "died"; why
Row = tuple[str, str, int, int, int]                                # file, way, ranks, cases that passed, of
Causes = dict[tuple[str, str], Counter[str]]                        # (file, why) -> case -> times
REASONS = {  # name of a test that does not pass -> the reason in words
    "testAlltoallwBottom": "The test passes addresses in memory (MPI.BOTTOM). minipar does not offer them, because "
    "its checks need the array.",
    "testBuffering": "The test attaches a buffer to one communicator, which is new in MPI 4.1. minipar offers "
    "MPI.Attach_buffer: one buffer for all communicators.",
    "testCommLock": "The test reads a private table of mpi4py, which minipar does not have.",
}
HEAD = """# mpi4py's own tests on `minipar run`

How many cases of mpi4py's tests pass, on threads and under mpirun, by number of ranks. A case counts if it passes
with plain mpi4py; with minipar it must pass on every rank. "-" was not measured, or did not end
within 300 s on a busy machine. This page is written by
`python -m tests.mpi4py_face.coverage FOLDER --page`, with the folder `test` of mpi4py's source.
"""


def run(folder: Path, module: str, way: str, size: int) -> dict[str, Outcome]:
    """case -> the worst outcome over the ranks."""
    environment = rank_environment(os.environ)
    environment["MINIPAR_TIMEOUT"] = "60"
    with tempfile.TemporaryDirectory() as results:
        words = ["cases_of_mpi4py.py", module, results]
        launcher = find_launcher(environment["PATH"])
        assert launcher is not None
        if way == "threads":
            line = [*command("run"), "-n", str(size), *words]
        else:
            program = [sys.executable] if way == "plain" else [str(word) for word in command("run")]
            line = launch_command(launcher, size, [*program, *words], root=os.geteuid() == 0)
        try:
            job = subprocess.run(
                line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
            )
            end = (job.stderr.strip().splitlines() or [""])[-1]
        except subprocess.TimeoutExpired:
            end = "no end after 300 s"
        pages = [json.loads(path.read_text()) for path in Path(results).glob("*.json")]
    found: dict[str, Outcome] = {}
    for page in pages:
        for case, (outcome, detail) in page.items():
            if rank_of(outcome) >= rank_of(found.get(case, ("passed", ""))[0]):
                found[case] = outcome, detail or (end if outcome == "died" else "")
    return found


def rank_of(outcome: str) -> int:
    return ("passed", "skipped", "died", "failed").index(outcome)


def page_of(rows: Sequence[Row], causes: Causes) -> str:
    """The page: one line for each file, then each case that does not pass, with its reason."""
    sizes = sorted({size for _, _, size, _, _ in rows})
    lines = [
        HEAD,
        "| file | cases | " + " | ".join(f"{way}, {size}" for way in WAYS[1:] for size in sizes) + " |",
        "|---" * (2 + 2 * len(sizes)) + "|",
    ]
    passed = {(module, way, size): (good, of) for module, way, size, good, of in rows}
    for module in dict.fromkeys(module for module, *_ in rows):
        of = max(each[1] for (name, _, _), each in passed.items() if name == module)
        counts = [passed.get((module, way, size)) for way in WAYS[1:] for size in sizes]
        lines.append(
            f"| {module} | {of} | "
            + " | ".join("-" if each is None else str(each[0]) for each in counts)
            + " |"
        )
    lines += ["", "## The others", ""]
    for (module, why), cases in sorted(causes.items()):
        lines += [*textwrap.wrap(f"* {module}: {', '.join(sorted(cases))}", 110, subsequent_indent="  "),
                  *textwrap.wrap(why, 108, initial_indent="  ", subsequent_indent="  "),
                  *(line for name in dict.fromkeys(case.split(".")[-1] for case in sorted(cases))
                    for line in textwrap.wrap(REASONS.get(name, "The reason is not known."), 108,
                                              initial_indent="  ", subsequent_indent="  "))]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--ranks", type=int, nargs="+", default=RANKS)
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    rows: list[Row] = []
    causes: Causes = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "test")
        shutil.copytree(given.folder, folder)
        shutil.copy(HERE / "cases_of_mpi4py.py", folder)
        for module in given.modules:
            plain = run(folder, module, "plain", 1)
            counted = [case for case, (outcome, _) in plain.items() if outcome == "passed"]
            for size in given.ranks:
                for way in WAYS[1:]:
                    found = run(folder, module, way, size)
                    missing = {case: found.get(case, ("died", "not run")) for case in counted
                               if found.get(case, ("died",))[0] != "passed"}
                    rows.append((module, way, size, len(counted) - len(missing), len(counted)))
                    print(
                        f"{module:<18} {way:<8} {size} ranks  {rows[-1][3]:>4} of {len(counted):>4}",
                        flush=True,
                    )
                    for case, (outcome, why) in missing.items():
                        causes.setdefault((module, f"{outcome}: {why}"), Counter())[case] += 1
    for (module, why), cases in sorted(causes.items()):
        print(f"{module}  {', '.join(cases)}\n    {why}")
    if given.page:
        PAGE.write_text(page_of(rows, causes), encoding="utf-8")


if __name__ == "__main__":
    main()
