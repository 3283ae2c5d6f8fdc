"""What the pages of lessons/ promise, held against the lessons themselves. Each function returns what is
wrong, in words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from minipar.classroom.cells import LessonFile, Section

ID = re.compile(r"\b[FACNE]\d+\b")
ERRATUM = re.compile(r"\bR\d+\b")


def index_of(page: str) -> dict[str, str]:
    """id -> number of its lesson, from the rows of INDEX.md."""
    rows = re.findall(r"^\| ([FACNE]\d+) \|.*\| (\d\d) \|$", page, re.MULTILINE)
    twice = {name for name, _ in rows if [other for other, _ in rows].count(name) > 1}
    assert not twice, f"INDEX.md has two rows for {', '.join(sorted(twice))}"
    return dict(rows)


def covers(source: str) -> list[str]:
    """The ids in a lesson's `# Covers:` line."""
    return [name for line in re.findall(r"^# Covers: (.*)$", source, re.MULTILINE)
            for name in ID.findall(line)]


def asserted(source: str) -> set[str]:
    """The ids in messages of asserts that compute something: an assert whose condition names nothing tests
    nothing.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert) and node.msg and any(isinstance(part, ast.Name)
                                                             for part in ast.walk(node.test)):
            constants = [part.value for part in ast.walk(node.msg) if isinstance(part, ast.Constant)]
            found |= {name for text in constants if isinstance(text, str) for name in ID.findall(text)}
    return found


def uncovered(index: Mapping[str, str], lessons: Mapping[str, str]) -> list[str]:
    """Where the lessons (name -> source) and the index disagree."""
    wrong = []
    named = {lesson: covers(source) for lesson, source in lessons.items()}
    tested = {lesson: asserted(source) for lesson, source in lessons.items()}
    for name, number in index.items():
        where = [lesson for lesson, names in named.items() for one in names if one == name]
        if len(where) != 1 or not where[0].startswith(f"{number}_"):
            wrong.append(f"{name} belongs to lesson {number}, and is covered by "
                         f"{' and '.join(where) or 'none'}")
        elif name not in tested[where[0]]:
            wrong.append(f"{name}: no assert of {where[0]} names it")
    return wrong + [f"{name}, covered by {lesson}, is not in the index"
                    for lesson, names in named.items() for name in names if name not in index]


def errata(page: str) -> dict[str, str]:
    """R-number -> the last cell of its row, which says where it is shown."""
    return dict(re.findall(r"^\| (R\d+) \|.*\| ([^|]*) \|$", page, re.MULTILINE))


def not_shown(page: str, lessons: Mapping[str, str]) -> list[str]:
    """Errata whose lesson is missing, does not name them, or has come meanwhile."""
    wrong = []
    for name, cell in errata(page).items():
        links = re.findall(r"\]\((\w+)\.py\)", cell)
        later = re.fullmatch(r"lesson (\d\d), to come", cell)
        if later and (come := [lesson for lesson in lessons if lesson.startswith(later[1])]):
            wrong.append(f"{name}: lesson {come[0]} has come, link to it")
        if not links and not later:
            wrong.append(f"{name}: no lesson is named")
        wrong += [f"{name}: there is no lesson {link}" for link in links if link not in lessons]
        wrong += [f"{name}: lesson {link} does not name it" for link in links
                  if link in lessons and name not in ERRATUM.findall(lessons[link])]
    return wrong


def title_of(source: str) -> str:
    """`13 · Data parallel: share out ...` -> `Data parallel`."""
    heading = re.search(r"^# # (?:\d\d · )?([^:\n]*)", source, re.MULTILINE)
    assert heading, "a lesson begins with its title"
    return heading[1].strip()


WORDS, LINE = 110, 5  # of prose that a student reads in a minute; seconds for a line of code
QUESTION = BREAK = 2                    # minutes for a prediction, and to break something on purpose


def minutes_of(section: Section) -> float:
    """How long a section takes to read, to predict and to break: an estimate."""
    prose = " ".join(cell.text for cell in section.cells if cell.kind == "prose")
    code = "\n".join(cell.text for cell in section.cells if cell.kind == "code")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    return (len(prose.split()) / WORDS + len(lines) * LINE / 60 + code.count(".predict(") * QUESTION
            + prose.count("**Break it") * BREAK)


def core_minutes(lesson: LessonFile) -> int:
    """How long the core path takes, rounded up to the next five minutes. Exercises are not in it."""
    minutes = sum(minutes_of(section) for section in lesson.sections if section.is_core)
    return 5 * -int(-minutes // 5)


def stated_minutes(lesson: LessonFile) -> int:
    """What the lesson says of it in its first cell; 0 where it says nothing."""
    found = re.search(r"The core\s+path\s+takes\s+(\d+)\s+minutes", lesson.sections[0].cells[0].text)
    return int(found[1]) if found else 0


class Term(NamedTuple):
    """A row of the glossary. chinese: in brackets where the documents do not have it; where: "000, 3.1" or
    "".
    """

    english: str
    chinese: str
    where: str
    lesson: str


def glossary_of(page: str) -> list[Term]:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ?([^|]*) ?\| ([^|]+) \| .+ \|$", page, re.MULTILINE)
    return [Term(*(cell.strip() for cell in row)) for row in rows if row[0] != "English"]


def prose_of(source: str) -> str:
    """A lesson in one line, without the marks of its comments."""
    return re.sub(r"\s*\n#?\s*", " ", source)


def new_terms(prose: str, known: Set[str]) -> set[str]:
    """Words in bold that are not known, neither as they are nor without the s of a plural."""
    bold = {word.strip(" .:").lower() for word in re.findall(r"\*\*([A-Za-z][A-Za-z -]+[.:]?)\*\*", prose)}
    return {word for word in bold if not {word, *map(word.removesuffix, ("s", "es", "ism"))} & known}


def glossary_faults(rows: Sequence[Term], prose: Mapping[str, str], index: str) -> list[str]:
    """What is wrong in the glossary, in words. prose: lesson -> its text in one line; index: the text of
    INDEX.md.
    """
    found = [f"{one.english} and {two.english} are not in order" for one, two in pairwise(rows)
             if one.english.lower() >= two.english.lower()]
    numbers = {str(int(name[:2])) if name[0].isdigit() else name: text for name, text in prose.items()}
    chapters = {
        (document, section[0])
        for cell in re.findall(r"^\| [FACNE]\d+ \| ([^|]*) \|", index, re.MULTILINE)
        for document in re.findall(r"00\d", cell)
        for section in re.findall(r"(?<![\d.])[1-9]\b", cell)
    }
    for english, chinese, where, lesson in rows:
        word = re.escape(english.partition(",")[0]).replace("\\-", "[- ]").replace("\\ ", "[- ]")
        if lesson not in numbers:
            found.append(f"{english}: there is no lesson {lesson}")
        elif not re.search(rf"(?<![a-z]){word}s?(?![a-z])", numbers[lesson], re.IGNORECASE):
            found.append(f"{english} does not occur in lesson {lesson}")
        own, (document, _, section) = re.sub(r"\(.*\)", "", chinese).strip(), where.partition(", ")
        if own and not where:
            found.append(f"{english}: where is {own}?")
        elif where and not own:
            found.append(f"{english}: brackets, and a document")
        elif where and (document, section[:1]) not in chapters:
            found.append(f"{english}: the index knows no chapter {section[:1]} of {document}")
    return found
