"""Types the README and the pages of PAGES from top to bottom in one empty folder: `python -m tests.readme`.

Each fenced command is run as it stands there, by a shell, in the order of the pages; a program is written
into the file that the page names, and run. So a command that needs what an earlier one has not made is found.
The few commands that show a mistake must end with status 2, all others with 0.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.ranks import ROOT

LIMIT = 1800                                                        # seconds for one command
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
# the README first: the other pages use the runs that its commands make
PAGES = ("README.md", "minipar/training/TRAINING.md", "minipar/inference/ENGINE.md", "minipar/graph/GRAPH.md",
         "minipar/plan/PLAN.md", "minipar/mpi4py_face/RUN.md")
# make and source set up the environment that this program needs itself; serve runs until it is stopped, and
# --url needs a running server; the others are placeholders
NOT_TYPED = ("make ", "source ", "minipar serve ", "--url", "COMMAND", " ARGS")


@dataclass(frozen=True)
class Typed:
    """What a reader types: a command, or a program that goes into `file` (and is run, where it is no
    schedule).
    """

    text: str
    file: str = ""

    @property
    def command(self) -> str:
        return f"python {self.file}" if self.file else self.text

    @property
    def is_run(self) -> bool:
        return not self.file or "def schedule(" not in self.text and "mp.job()" not in self.text

    @property
    def status(self) -> int:
        """A mistake ends with 2; a check of a stub that nobody has written into, with 1."""
        return 2 if "wrong.py" in self.command else 1 if self.command == "minipar exercise check" else 0


def text_of_pages() -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in PAGES)


def typed(page: str) -> Iterator[Typed]:
    """Everything that the page asks a reader to type, in its order."""
    for number, block in enumerate(FENCED.finditer(page)):
        language, body = block.groups()
        if language == "text":                                      # the output of a command
            continue
        if language == "python":
            named = re.search(r"`(\w+\.py)`[^`]*\Z", page[:block.start()]) or re.match(
                r"\s*```\n\$ .*?python (\w+\.py)", page[block.end():])
            yield Typed(body, named[1] if named else f"snippet{number}.py")
            continue
        prompted = "\n$ " in f"\n{body}"
        for line in body.splitlines():
            command = line.removeprefix("$ ").partition(" #")[0].strip()
            if (
                command
                and (not prompted or line.startswith("$ "))
                and not any(word in command for word in NOT_TYPED)
            ):
                yield Typed(command)


def type_in(folder: Path, what: Typed) -> subprocess.CompletedProcess[str]:
    """Write the program, or run the command, in this folder, with this Python's commands first on the PATH.
    """
    if what.file:
        (folder / what.file).write_text(what.text, encoding="utf-8")
    command = what.command if what.is_run else "true"
    environ = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    return subprocess.run(command, shell=True, cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT)


def main() -> int:
    """Exit status 1 if a command ends otherwise than the page says."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for what in typed(text_of_pages()):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            done = type_in(Path(folder), what)
            seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            good = done.returncode == (what.status if what.is_run else 0)
            wrong += not good
            print(
                f"{'ok' if good else 'WRONG'}: {seconds:6.1f} s of the processor: {what.command}", flush=True
            )
            if not good:
                print(f"  status {done.returncode}: {(done.stderr or done.stdout)[-500:]}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
