"""A lesson as slides and as a notebook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from minipar.classroom.cells import read_lesson
from minipar.classroom.notebook import notebook
from minipar.classroom.slides import slides
from tests.commands import call
from tests.ranks import ROOT

LESSON = '''# %% [markdown]
# # 99 · A lesson
# With a <b>tag</b> and **bold** words.
#
# ## 1 · A section
# %%
class lesson:
    def predict(question): print(f"Predict: {question}\\n  - one")
# %%
lesson.predict("how many?")
print("  answer: two\\n  a < b")
# %%
from pathlib import Path; Path("x.png").write_bytes(b"picture")
print("picture: x.png")
'''


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "99_lesson.py").write_text(LESSON, encoding="utf-8")
    return tmp_path / "99_lesson.py"


def test_slides_hold_prose_code_questions_answers_and_pictures(script: Path) -> None:
    page = slides(read_lesson(script))
    assert page.count("<section>") == 5 and "<strong>bold</strong>" in page and "<b>tag" not in page
    question, hidden = page.rindex("Predict: how many?"), page.index('class="hidden"')
    assert question < hidden < page.rindex("answer: two") and "a &lt; b" in page
    assert hidden < page.index("answer: two"), "the code behind a question is hidden, too: it has the answer"
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in page
    assert not re.search(r'(src|href)="(?!data:)', page), "a page that needs no network"


def test_a_notebook_has_the_cells(script: Path) -> None:
    cells = json.loads(notebook(read_lesson(script)))["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code", "code"]


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert call("lesson", "export", "0", "--ipynb", tmp_path / "0.ipynb") == 0
    assert call("lesson", "export", "0", "--ipynb", tmp_path / "none" / "0.ipynb") == 2
    assert call("lesson", "export", "77", "--ipynb", tmp_path / "77.ipynb") == 2
    assert json.loads((tmp_path / "0.ipynb").read_text())["cells"]
