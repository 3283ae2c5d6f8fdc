"""The public names of minipar as pages, from their signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import minipar as mp


def pages() -> Iterator[tuple[str, str]]:
    """(name of the page, its MyST Markdown): the list of names, and a page for each."""
    names = sorted(mp.__all__, key=str.lower)
    rows = "\n".join(f"| [`mp.{name}`]({name}.md) | {_first_sentence(getattr(mp, name))} |" for name in names)
    listed = "\n".join(names)
    yield "index", (f"# Public names\n\n`import minipar as mp` gives these names. Everything else is internal.\n\n"
                    f"| name | |\n|---|---|\n{rows}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n")
    for name in names:
        yield name, f"# mp.{name}\n\n{_entry(name, getattr(mp, name))}"


def _first_sentence(value: Any) -> str:
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:]) (?=[A-Z])", text)[0].replace("|", "\\|")


def _entry(name: str, value: Any) -> str:
    """A name with its signature and docstring; a class also with its public methods."""
    kind = "class" if inspect.isclass(value) else "function"
    body = markdown(inspect.getdoc(value) or "")
    if not inspect.isclass(value) or issubclass(value, BaseException):
        return _directive(kind, f"minipar.{name}{_signature(value)}", body, 3)
    methods = [_directive("method", f"{method}{_signature(function, bound=True)}", markdown(inspect.getdoc(function) or ""), 3)
               for method, function in inspect.getmembers(value, inspect.isfunction)
               if not method.startswith("_") and function.__module__.startswith("minipar.") and function.__doc__]
    return _directive(kind, f"minipar.{name}{_signature(value)}", "\n\n".join([body, *methods]), 4)


def _directive(kind: str, signature: str, body: str, fence: int) -> str:
    marks = ":" * (fence + 1)
    return f"{marks}{{py:{kind}}} {signature}\n\n{body}\n{marks}\n"


def _signature(value: Any, bound: bool = False) -> str:
    """On one line, without the names of minipar's own modules."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    if bound:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    text = re.sub(r"\bminipar(\.\w+)+\.(?=\w)", "", str(signature)).replace("\n", " ")
    return re.sub(r"<(?:function|class) ?'?([\w.]+).*?>", r"\1", text).replace("'", "")


def markdown(doc: str) -> str:
    """A docstring as Markdown: paragraphs stay, indented parts and examples become code, words are not read as marks.
    """
    parts = []
    for block in re.split(r"\n\s*\n", doc):
        if block.startswith(">>>"):
            parts.append(f"```python\n{block}\n```")
        elif block.startswith("    "):
            joined = inspect.cleandoc(block)
            parts.append(f"```text\n{joined}\n```")
        else:
            parts.append(
                re.sub(r"([*_<>|\[\]])", r"\\\1", block) if "`" not in block else _outside_code(block)
            )
    return "\n\n".join(parts)


def _outside_code(text: str) -> str:
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_<>|\[\]])", r"\\\1", piece) for piece in pieces
    )
