"""The pages agree with the code: commands and options exist, programs run, and named files and numbers are
right.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from minipar.lessons.book.contents import REFERENCES, contents
from minipar.lessons.players.page import PLAYERS

from minipar import cli
from minipar.comm.collectives import ALGORITHMS
from minipar.comm.threads import run
from minipar.proof.mutants import MUTANTS
from minipar.schedules.generators import SCHEDULES
from minipar.tracking.run import read_run
from tests.commands import call
from tests.ranks import ROOT, mpirun
from tests.test_floors import FLOORS

PAGES = sorted(path for folder in (".", "benchmarks", "lessons", "lessons/teaching", "minipar")
               for path in (ROOT / folder).glob("*.md")) \
    + sorted((ROOT / "minipar").glob("*/*.md"))
SCRIPTS = [path for folder in ("minipar", "benchmarks", "lessons")
           for path in sorted((ROOT / folder).rglob("*.py"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROGRAMS = [
    body
    for page in ("README.md", "minipar/inference/ENGINE.md", "minipar/graph/GRAPH.md")
    for language, body in FENCED.findall((ROOT / page).read_text(encoding="utf-8"))
    if language == "python"
]
YOURS = {"mine.py", "wrong.py", "train.py"}  # programs that a page asks its reader to write


def commands(text: str) -> Iterator[str]:
    """All code that begins with the name of a program in CHECKS: fenced, indented, behind a gap in a line, in
    backticks.
    """
    prose = FENCED.sub("", text)
    code = [line for _, block in FENCED.findall(text) for line in block.splitlines()]
    code += re.findall(r" {3,}(\S.*?)(?= {3,}|$)", prose, re.M)
    code += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    for piece in code:
        command = piece.removeprefix("$ ").partition(" #")[0].strip()
        if re.match(rf"([A-Z_]+=\S+ )*({'|'.join(CHECKS)}) [\w./-]", command):
            yield command


def check(words: list[str]) -> None:
    """Raises if there is no such command, or if it has no such option."""
    while "=" in words[0]:
        words = words[1:]
    if words[0].endswith(".py"):
        words = ["python", *words]
    CHECKS[words[0]](words[1:])


def check_the_rest(words: list[str]) -> None:
    """What a launcher is asked to start, if it is a program that can be checked."""
    start = next((number for number, word in enumerate(words) if word in CHECKS or word.endswith(".py")),
                 len(words))
    assert words[start:] or words[-1] == "COMMAND", f"nothing to start in {words}"
    if words[start:]:
        check(words[start:])


class Read(Exception):
    """The command line has been read without a complaint, and would be obeyed now."""


def check_minipar(words: list[str]) -> None:
    def stop(options: object) -> None:
        raise Read

    if words == ["COMMAND"]:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minipar.cli.ranks.entered", stop)             # called when all options are read
        try:
            is_mention = not any(word.startswith("-") for word in words)
            status = call(*words, *["--help"] * is_mention)
        except Read:
            status = 0
    assert status == 0, f"minipar refuses {words}"
    if words[0] == "launch" and words[1:]:
        check_the_rest(words[1:])


def check_mpirun(words: list[str]) -> None:
    assert words[0] == "-n" and words[1].isdigit()
    check_the_rest(words[2:])


def check_make(words: list[str]) -> None:
    for target in words:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(),
                         re.M), f"make has no target {target}"


def check_python(words: list[str]) -> None:
    if words[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[2:] if "/" in word)
    elif words[:1] == ["-m"]:
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
    elif words and words[0] not in YOURS:
        source = (ROOT / words[0]).read_text(encoding="utf-8")
        shared = (ROOT / "lessons" / "support"
                  / "lesson.py").read_text(encoding="utf-8") if words[0].startswith("lessons") else ""
        for option in (word for word in words if word.startswith("--")):
            assert f'"{option}"' in source + shared, f"{words[0]} has no {option}"


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "minipar": check_minipar, "mpirun": check_mpirun, "make": check_make, "python": check_python}


def wrong_commands(text: str) -> dict[str, str]:
    """Command -> what is wrong with it."""
    wrong = {}
    for command in commands(text):
        try:
            check(shlex.split(re.sub(r"\$\w+", "1", re.sub(r"[][]", " ", command))))
        except (AssertionError, OSError, KeyError, IndexError) as error:
            wrong[command] = repr(error)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page(page: Path) -> None:
    assert wrong_commands(page.read_text(encoding="utf-8")) == {}


def test_the_commands_in_the_first_words_of_files() -> None:
    said = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in SCRIPTS}
    assert {str(path): wrong for path, text in said.items() if (wrong := wrong_commands(text))} == {}


@pytest.mark.parametrize("command", [
    "minipar trane --dp 2", "minipar train --bogus 3", "mpirun -n 4 minipar verify --dq 2",
    "minipar schedule run --ranks 0 1f1b",
    "minipar launch -n 2 python benchmarks/none.py", "make dmeo", "python benchmarks/step.py --bogus",
    "python -m tests.comm.none",
    "OPENBLAS_NUM_THREADS=1 python none.py", "python -m pytest tests/none -k ring"])
def test_a_wrong_command_is_found(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(wrong_commands(f"Type `{command}` and see.")) == [command]
    assert list(wrong_commands(f"```\n$ {command}        # a comment\n```\n")) == [command]
    assert list(wrong_commands(f"What is it?    {command}")) == [command]


def named_files(text: str) -> Iterator[str]:
    """Files that a page names: where its links lead, and what is in backticks and has a folder and an
    ending.
    """
    yield from (target for target in re.findall(r"\]\(([^)#]+?)(?:#\w+)?\)", text) if "://" not in target)
    yield from re.findall(r"`([\w.-]+/[\w./-]*\.(?:py|md|png|npz))`", text)


def test_where_is_what() -> None:
    """Each name in ARCHITECTURE's table is defined in a file of its row."""
    table = ARCHITECTURE[ARCHITECTURE.index("Where is what?\n"):]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ") and "`" in line]
    wrong = []
    for _, idea, files, names, _ in rows:
        sources = [
            (ROOT / "minipar" / name).read_text(encoding="utf-8") for name in re.findall(r"`([^`]+)`", files)
        ]
        wrong += [
            (idea, name)
            for name in re.findall(r"`(\w+)`", names)
            if not any(re.search(rf"^ *(def|class) {name}\b|^{name}\b.* = ", text, re.M) for text in sources)
        ]
    assert len(rows) > 15 and wrong == []


def missing(page: Path, text: str) -> list[str]:
    folders = (page.parent, ROOT, ROOT / "minipar")
    return [name for name in named_files(text) if not any((folder / name).exists() for folder in folders)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names(page: Path) -> None:
    assert missing(page, page.read_text(encoding="utf-8")) == []


def test_a_missing_file_is_found() -> None:
    text = (
        "[here](README.md), [there](lessons/none.md#glossary), `minipar/nn/gpt.py`, `nn/gpt.py`, `nn/none.py`"
    )
    assert missing(ROOT / "README.md", text) == ["lessons/none.md", "nn/none.py"]


def test_the_programs_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    """Each as it stands there, in an empty folder."""
    door, loop, saving, own, collective, schedule, proof, _, engine, forward, forward_on_ranks = PROGRAMS
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ALGORITHMS, "all_reduce", {**ALGORITHMS["all_reduce"]})
    exec(door, found := {})
    assert found["trained"].losses[-1] < found["trained"].losses[0] and found["report"].proven

    exec(loop, {})
    one, *two = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out)[-3:])
    assert one < 2.3 and two == pytest.approx([one, one], rel=1e-5)

    for program, steps in ((saving, 20), (saving.replace("steps=20", "steps=30"), 30)):  # the second resumes
        exec(program, {})
        assert capsys.readouterr().out == f"[{steps}, {steps}]\n"
    assert read_run("runs/loop").log.steps.tolist() == list(range(30))

    exec(engine, {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in lines].count("length") == 4 and len(lines) == 20 + 3 * 10

    exec(forward, found := {})
    nodes = [int(line.split()[-3]) for line in capsys.readouterr().out.splitlines()]
    assert (len(nodes), nodes[0], nodes[-1]) == (8, 25, 18) and found["logits"].shape == (1, 16, 64)
    np.testing.assert_allclose(found["faster"].run(found["tokens"])[0], found["logits"], rtol=0, atol=1e-5)
    exec(forward_on_ranks, found)
    assert capsys.readouterr().out.split("\n")[0] == "[(5120, (1, 16, 32)), (5120, (1, 16, 32))]"

    exec(own, found := {})
    assert "reduce over the ranks is missing" in found["report"].explanations[0]
    capsys.readouterr()

    exec(collective, found := {})
    total, sent = zip(*run(4, found["counted"]), strict=True)
    assert total == (6, 6, 6, 6)
    assert [(one.messages, one.bytes) for one in sent] == [(1, 8000), (2, 16000), (2, 16000), (1, 8000)]

    Path("mine.py").write_text(schedule, encoding="utf-8")
    for action in ("lint", "show", "run"):
        assert call("schedule", action, "mine.py", "--ranks", 2, "--micro-batches", 2) == 0
    assert "PROVEN" in capsys.readouterr().out
    exec(proof, {})


@pytest.mark.mpi
def test_the_mistake_of_the_readme_says_what_the_readme_says(tmp_path: Path) -> None:
    """Under mpirun, where the script's own lines are the outermost of all."""
    (tmp_path / "wrong.py").write_text(
        next(body for body in PROGRAMS if "mp.job()" in body[:80]), encoding="utf-8"
    )
    job = mpirun(3, [sys.executable, str(tmp_path / "wrong.py")], limit=60)
    said = re.search(r"^\$ mpirun -n 3 python wrong.py\n(.*?)^```", README, re.M | re.S)
    assert (
        said is not None and job.returncode == 2 and " ".join(job.stdout.split()) == " ".join(said[1].split())
    )


def test_what_the_readme_counts() -> None:
    """Mistakes, bugs, schedules, lessons, exercises, players, files to read; and ARCHITECTURE's floors, as
    the test of floors has them.
    """
    rows, floors = ([[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()
                     if line.startswith("|")] for page in (README, ARCHITECTURE))
    faults = (ROOT / "minipar" / "comm" / "FAULTS.md").read_text(encoding="utf-8")
    mistakes = len(re.findall(r"^\| \d+ \|", faults, re.M))
    assert (
        f"lists {mistakes} mistakes" in README
        and f"{2 * mistakes} of {2 * mistakes} runs of planted" in README
    )
    assert f"each of {len(MUTANTS)} classic bugs" in README
    assert f"{len(contents().lessons)} lessons and " in README
    assert "ten **players**" in README and len(PLAYERS) == 10
    assert "ten pipeline schedules" in README and len([name for name in SCHEDULES
                                                       if name != "inference"]) == 10
    assert (
        "these twelve files" in README
        and len([row for row in rows if re.fullmatch(r"`(minipar|lessons)/.*\.py`", row[0])]) == 12
    )
    told = [(int(floor), package) for floor, packages, *_ in (row for row in floors if row[0].isdigit())
            for package in re.findall(r"`(\w+)`", packages)]
    assert sorted(told) == sorted((floor, name) for floor, names in enumerate(FLOORS) for name in names
                                  if not name.startswith("_"))


def test_every_page_is_in_the_book_and_every_command_on_a_page() -> None:
    packages = {page.relative_to(ROOT).as_posix() for page in PAGES if page.parent.parent == ROOT / "minipar"}
    assert packages - set(REFERENCES) == set()
    text = " ".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md")
    assert [name for name in cli.COMMANDS if f"minipar {name}" not in text] == []


def wrong_counts(text: str) -> list[str]:
    """The counts of exercises and of their chapters that a page says, and that are not true."""
    exercises = contents().exercises
    chapters = {12: "twelve"}[len({path.parent for path in exercises})]
    return [said[0] for said in re.finditer(r"\b(\d{2,}) exercises\b|\b(\w+) chapters\b", text)
            if (said[1] or said[2]) not in (str(len(exercises)), chapters)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "lessons" / "exercises" / "README.md"],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_the_counts_of_exercises_on_a_page(page: Path) -> None:
    assert wrong_counts(page.read_text(encoding="utf-8")) == []


def test_a_wrong_count_is_found() -> None:
    assert wrong_counts("66 exercises in ten chapters; 5 exercises") == ["66 exercises", "ten chapters"]


FOLDERS = re.compile(r"(?<![\w.~])/(?:home|root|work|tmp|Users)/\w")


def test_no_page_names_a_folder_of_one_machine() -> None:
    assert {
        str(page): found[0] for page in PAGES if (found := FOLDERS.search(page.read_text(encoding="utf-8")))
    } == {}
    assert FOLDERS.search('File "/home/me/x.py"') and not FOLDERS.search("lessons/home/x.py")
