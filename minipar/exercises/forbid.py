"""Finds forbidden functions in the source of a submission before the submission runs, and required functions
that are missing.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

# Names that no exercise needs: the grader, and the functions with which the grader measures memory.
ALWAYS = ("minipar.exercises", "tracemalloc", "_tracemalloc")
# Ways to import or run code that the search for forbidden names does not see.
DYNAMIC = ("__import__", "importlib", "exec", "eval", "compile", "runpy", "builtins",
           "__builtins__", "__loader__", "__spec__", "sys.modules")


def forbidden(source: str, names: Sequence[str]) -> str:
    """Return the first use of a forbidden name as "NAME in line N", or "".

    `names` holds functions ("all_reduce", "np.linalg.svd") and modules ("minipar.comm.collectives"). A module
    forbids all its functions. The names in ALWAYS are forbidden in every exercise.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""  # reported when the file is loaded
    for node in ast.walk(tree):
        for used in uses(node):
            name = next((name for name in (*names, *ALWAYS) if matches(used, name)), "")
            if names and not name:
                name = next((way for way in DYNAMIC if is_dynamic(used, way)), "")
            if name:
                return f"{name} in line {getattr(node, 'lineno', 0)}"
    return ""


def missing(source: str, names: Sequence[str]) -> str:
    """Return the first of `names` that the source does not use, or ""."""
    try:
        used = [one for node in ast.walk(ast.parse(source)) for one in uses(node)]
    except (SyntaxError, ValueError):
        return ""  # reported when the file is loaded
    return next((name for name in names if not any(matches(one, name) for one in used)), "")


def matches(used: str, name: str) -> bool:
    """Return True if the dotted name `used` is the name `name`, or belongs to the module `name`.
    """
    return used == name or used.startswith(f"{name}.") or ("." not in name and used.split(".")[-1] == name)


def is_dynamic(used: str, way: str) -> bool:
    """Return True if the dotted name `used` begins with `way`. If `way` begins with "__", it may be any part.
    """
    return used == way or used.startswith(f"{way}.") or (way.startswith("__") and way in used.split("."))


def uses(node: ast.AST) -> list[str]:
    """Return the dotted names that a node of the syntax tree uses or imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Attribute | ast.Name):
        return [dotted(node)]
    return []


def dotted(node: ast.expr) -> str:
    """Return the name of an attribute such as np.linalg.svd. The name of a call's result begins with a dot.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def too_deep(source: str) -> bool:
    """Return True if expressions of the source are nested so deeply that Python's parser gives up. Such a
    source cannot be searched for forbidden names.
    """
    try:
        ast.dump(ast.parse(source))
    except (RecursionError, MemoryError):
        return True
    except (SyntaxError, ValueError):
        return False
    return False
