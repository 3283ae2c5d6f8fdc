"""A lesson played by a reader who types: order, locks, jumps, stops, and what goes wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from minipar.classroom.cells import Cell, read_lesson
from minipar.classroom.player import Player
from minipar.classroom.progress import Progress, read_progress
from minipar.classroom.terminal import WIDTH, prose
from minipar.errors import ConfigError
from tests.commands import call, refused

LESSON = '''# %% [markdown]
# # 99 · A lesson for a test
# Read me.
# %%
seen = []

class Asking:
    ask = None

    def predict(self, question, choices=()):
        self.prediction = self.ask(question, choices)

lesson = Asking()
# %% [markdown]
# ## 1 · First
# %%
seen.append("first")
lesson.predict("How many?", ("one", "two"))
seen.append(lesson.prediction)
# %% [markdown]
# ## 2 · Second (optional)
# %%
seen.append("second")
# %% [markdown]
# ## 3 · Third
# %%
seen.append("third")
'''


def typing(*lines: str) -> Callable[[str], str]:
    waiting = list(lines)

    def ask(prompt: str) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)
    return ask


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., tuple[Player, list[str]]]:
    (tmp_path / "99_test.py").write_text(LESSON, encoding="utf-8")

    def play(*lines: str, section: int | None = None, core: bool = False) -> tuple[Player, list[str]]:
        shown: list[str] = []
        player = Player(read_lesson(tmp_path / "99_test.py"), tmp_path / "record.json", ask=typing(*lines),
                        show=shown.append, core=core)
        player.play(section)
        return player, shown
    return play


def test_from_the_first_section_to_the_last(played: Callable) -> None:
    player, shown = played("", "", "", "2", "", "", "", "", "")
    assert player.names["seen"] == ["first", "two", "second", "third"]
    assert "last section" in shown[-1] and player.progress.section == 0


def test_a_prediction_is_locked(played: Callable) -> None:
    played("", "", "", "one", "q")
    player, shown = played("", "", "q")
    assert player.names["seen"] == ["first", "one"] and any("locked: one" in line for line in shown)


def test_code_behind_a_question_is_shown_after_the_prediction(played: Callable) -> None:
    """It has the answer."""
    for lines in (("", "", "", "one", "q"), ("", "", "q")):         # predicted now; locked before
        _, shown = played(*lines)
        text = "\n".join(shown)
        assert (
            text.index("How many?\"")
            < text.index("Predict. How many?")
            < text.index("| seen.append(lesson.prediction)")
        )


def test_a_cell_is_divided_behind_each_question() -> None:
    text = "a = 1\nlesson.predict(\n    'b?')\n\nb = 2\nlesson.predict('c?')\nif b:\n    lesson.predict('d?')"
    assert Cell("code", text, 1).pieces == (
        "a = 1\nlesson.predict(\n    'b?')",
        "b = 2\nlesson.predict('c?')",
        "if b:\n    lesson.predict('d?')",
    )
    assert Cell("code", "a = 1", 1).pieces == ("a = 1",)


def test_stop_and_go_on(played: Callable, tmp_path: Path) -> None:
    _, shown = played("", "", "", "1", "", "q")
    assert "section 2" in shown[-1] and read_progress(tmp_path / "record.json").section == 2
    player, _ = played("", "q")
    assert player.names["seen"][-1] == "second", "the code before runs first, without a question"
    assert player.names["seen"][:2] == ["first", ""], "and asks nothing"


def test_the_end_of_the_input_is_a_stop(played: Callable) -> None:
    assert "stopped" in played()[1][-1]


def test_jump_back_and_menu(played: Callable) -> None:
    player, shown = played("3", "m", "7", "b", section=0)
    assert [line for line in shown if "Third" in line] and any("b: back" in line for line in shown)
    assert player.progress.section == 2


def test_the_core_path_leaves_optional_sections_out(played: Callable) -> None:
    player, shown = played("", "", "", "", "", "", "", "", core=True)
    assert player.names["seen"] == ["first", "", "second", "third"], "their code runs all the same"
    assert not any("Second" in line for line in shown)


def test_a_traceback_shows_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(LESSON.replace('seen.append("third")', "1 / 0"), encoding="utf-8")
    player = Player(
        read_lesson(tmp_path / "bad.py"), tmp_path / "r.json", ask=typing(""), show=lambda text: None
    )
    with pytest.raises(ZeroDivisionError) as error:
        player.play(3)
    assert LESSON.replace('seen.append("third")', "1 / 0").splitlines()[error.traceback[-1].lineno] == "1 / 0"


@pytest.mark.parametrize("text", ["", "[]", '{"section": "2", "predictions": {}}',
                                  '{"section": -1, "predictions": {}}',
                                  '{"section": 1, "predictions": {"a": 3}}', "[" * 100_000, "\xff"])
def test_a_broken_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="record.json"):
        read_progress(tmp_path / "record.json")


def test_a_record_keeps_text_that_is_not_unicode(tmp_path: Path) -> None:
    """A terminal that is not UTF-8 types half of a surrogate pair."""
    Progress(1, {"a": "\udcff \u00e9"}).save(tmp_path / "record.json")
    assert read_progress(tmp_path / "record.json").predictions == {"a": "\udcff \u00e9"}


def test_prose_fits_a_terminal() -> None:
    text = prose("## A heading\n\n" + "Words in **bold** and a [link](somewhere.md). " * 8 + "\n\n* one item that is long "
                 + "and longer " * 12 + "\n* two\n\n    code   stays\n\n| a | b |\n")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "**" not in text and "somewhere" not in text and "    code   stays" in text and "| a | b |" in text
    assert "\n  and longer" in text, "an item's second line stands under its first word"


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert call("lesson", "teach", "1", "--out", tmp_path / "out") == 0
    assert "stopped" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "01_loss_and_gradient.progress.json").read_text())["section"] == 0
    assert "sections" in refused(capsys, "lesson", "teach", "1", "--section", "99")
    assert "sections" in refused(capsys, "lesson", "teach", "1", "--section", "-1")
