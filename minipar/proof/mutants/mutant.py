"""A mutant is the program with one classic bug. The bug is active inside a `with` block.

    with MUTANTS["f-forgotten"].planted():
        ...                                         # all ranks of this process have the bug, also threads

A bug is a list of changes. A change is an attribute of a class or a module, and its new value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.proof.case import Case, uneven_case

SIZES: dict[str, Any] = dict(layers=1, context=7)                   # defaults of a mutant's case


class Change(NamedTuple):
    """The attribute `name` of `owner` (a class or a module) becomes `new`."""

    owner: Any
    name: str
    new: Any


@dataclass(frozen=True)
class PlantedBug:
    """A bug that can be activated. story: describes the bug in one or two sentences. check: the check that
    fails first.
    """

    name: str
    story: str
    check: str
    changes: Callable[[], list[Change]]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Plant the bug in all modules that use the changed attributes. Only one thread may plant a mutant at
        a time.
        """
        changes = self.changes()
        for owner, name, _ in changes:
            if not hasattr(owner, name):
                raise ConfigError(f"mutant {self.name} changes {name}, which {owner} does not have; choose "
                                  "an existing attribute")
        before = [(change, vars(change.owner).get(change.name)) for change in changes]
        try:
            for owner, name, new in changes:
                setattr(owner, name, new)
            yield
        finally:
            for change, old in reversed(before):
                if old is None:                                     # the attribute was inherited
                    delattr(change.owner, change.name)
                else:
                    setattr(change.owner, change.name, old)


@dataclass(frozen=True)
class Mutant(PlantedBug):
    """A bug of training that a check of `verify` detects. case: a case in which the bug has an effect."""

    case: Case


def after_init(owner: Any, then: Callable[..., None]) -> Change:
    """Changes the class's __init__, so that it calls `then(object, ...)` at its end, with the same arguments.
    """
    original = owner.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        then(self, *arguments, **options)
    return Change(owner, "__init__", init)


def mutant(check: str, **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Returns a decorator that makes a Mutant from a function that returns changes. The function's docstring
    is the story.

    values: fields of Layout, ModelConfig and TrainConfig for the mutant's case.
    """
    axes = {field.name: values.pop(field.name) for field in fields(Layout) if field.name in values}

    def decorate(changes: Callable[[], list[Change]]) -> Mutant:
        story = " ".join((changes.__doc__ or "").split())
        return Mutant(changes.__name__.replace("_", "-"), story, check, changes,
                      uneven_case(Layout(**axes), **SIZES | values))

    return decorate
