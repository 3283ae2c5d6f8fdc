"""The commands of the README and of the pages after it can be typed in their order: each finds what it needs.
The commands themselves are run by `python -m tests.readme`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.readme import Typed, text_of_pages, type_in, typed

MADE_BY, NEEDED_BY = (
    ("--out", "--ipynb", "--slides", "--json"),
    ("--run", "--resume", "--data", "--pipeline", "--prompts", "--weights"),
)


def not_there(page: str) -> list[str]:
    """Commands that need a file or a folder which nothing before them makes; or make a folder that is there.
    """
    there: set[str] = set()
    wrong = []
    for what in typed(page):
        words = [] if what.file else shlex.split(what.command)
        named = dict(zip(words, words[1:], strict=False))
        needs = [
            value
            for flag, value in named.items()
            if flag in NEEDED_BY and "/" in value + "/" * value.endswith((".py", ".txt"))
        ]
        needs += [word for word in words if word.endswith(".py") and "/" not in word and word != "program.py"]
        makes = {named[flag] for flag in (*MADE_BY, ">") if flag in named} | (
            {what.file} if what.file else set()
        )
        if any(name not in there for name in needs) or ("train" in words and makes & there):
            wrong.append(what.command)
        there |= makes
    return wrong


def test_each_command_finds_what_it_needs() -> None:
    assert not_there(text_of_pages()) == [] and len(list(typed(text_of_pages()))) > 45


@pytest.mark.parametrize("page", [
    "```\nminipar train --resume runs/a\n```\n", "```\nminipar schedule lint mine.py\n```\n",
    "```\nminipar train --out runs/a\nmpirun -n 2 minipar train --dp 2 --out runs/a\n```\n",
    "```\nminipar train --pp 2 --pipeline mine.py\n```\n", "```\nminipar generate --run runs/a\n```\n",
    "```\nminipar generate --prompts prompts.txt\necho no > prompts.txt\n```\n"])
def test_a_command_that_comes_too_early_is_found(page: str) -> None:
    assert len(not_there(page)) == 1


def test_what_is_typed() -> None:
    page = (
        "Write this into `mine.py`:\n```python\ndef schedule(p, m): ...\n```\n```\nmake demo\nminipar doctor    # it\n"
        "minipar launch -n 2 COMMAND\n```\n```text\n  on   runs\n```\n```python\n1/0\n```\n```\n$ python wrong.py\nCommError: no\n```\n"
    )
    assert list(typed(page)) == [Typed("def schedule(p, m): ...\n", "mine.py"), Typed("minipar doctor"),
                                 Typed("1/0\n", "wrong.py"), Typed("python wrong.py")]


def test_a_program_is_written_and_a_command_runs(tmp_path: Path) -> None:
    assert type_in(tmp_path, Typed("def schedule(p, m): ...\n", "mine.py")).returncode == 0
    assert (tmp_path / "mine.py").exists() and type_in(tmp_path, Typed("cat mine.py; exit 3")).returncode == 3
