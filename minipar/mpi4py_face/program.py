"""Reads and compiles a user's program. Each error is one line."""

from __future__ import annotations

import ast
import os
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from minipar.errors import ConfigError


@dataclass(frozen=True)
class UserProgram:
    """A user's program. code: the compiled program, which each rank runs. folder: the first folder in which
    Python searches for the program's modules.
    """

    path: str
    code: CodeType
    folder: str
    arguments: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        return [self.path, *self.arguments]

    def main(self) -> ModuleType:
        """Returns a new `__main__` module for one rank."""
        module = ModuleType("__main__")
        vars(module).update(__file__=self.path, __spec__=None, __builtins__=__builtins__)
        return module


def read_program(path: str | Path, arguments: tuple[str, ...] = ()) -> UserProgram:
    """Read and compile a program. Raises ConfigError for a file that is missing, is not text, or is not
    Python.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise ConfigError(f"{name} is a folder; name the program in it, such as "
                          f"{os.path.join(name, 'main.py')}")
    try:
        with tokenize.open(name) as file:
            source = file.read()
    except FileNotFoundError:
        raise ConfigError(f"there is no program {name}; check the name and the current folder") from None
    except OSError as error:
        raise ConfigError(f"the program {name} cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not Python source: {error}") from error
    return compiled(source, name, os.path.dirname(os.path.abspath(name)), arguments)


def compiled(source: str, name: str, folder: str, arguments: tuple[str, ...] = ()) -> UserProgram:
    """Make a program from its text. Raises ConfigError if the text is not Python."""
    try:
        code = compile(ast.parse(source, name), name, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()
        where = f"{os.path.basename(name)}:{error.lineno}"
        raise ConfigError(f"{name} is not Python {sys.version_info.major}.{sys.version_info.minor}: "
                          f"{error.msg} at {where}{': ' * bool(line)}{line}") from None
    except ValueError as error:                                     # the text contains null bytes
        raise ConfigError(f"{name} is not Python source: {error}") from None
    return UserProgram(name, code, folder, arguments)
