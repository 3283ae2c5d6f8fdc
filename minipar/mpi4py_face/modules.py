"""Gives each rank its own copy of a program's modules. Without this, ranks that are threads would share the
modules in `sys.modules`.

Each rank has the program as its `__main__` module. The files of the program's folder are loaded once per
rank, each time with new globals. `sys.modules` contains one `SharedModule` instead of the copies of a module.
Libraries that use `sys.modules` (pickle, unittest, dataclasses) get the attributes of the calling rank's
copy. Each rank also has its own builtins. Their `__import__` finds the rank's copy for an `import` statement
of the program.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class SharedModule(ModuleType):
    """The entry in `sys.modules` that stands for the ranks' copies of one module."""

    def __init__(self, name: str, copy: Callable[[], ModuleType]) -> None:
        super().__init__(name)
        object.__setattr__(self, "_copy", copy)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__spec__", "__loader__"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_copy")(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("__spec__", "__loader__"):
            object.__setattr__(self, name, value)
        else:
            setattr(object.__getattribute__(self, "_copy")(), name, value)

    def __dir__(self) -> list[str]:
        return dir(object.__getattribute__(self, "_copy")())


class RankModules:
    """The modules of one rank, by name. folder: the folder of the program's files. Modules in folders that
    the program adds to `sys.path` are also copied.
    """

    def __init__(self, folder: str) -> None:
        self.folder, self.usual = folder, set(sys.path)
        self.loaded: dict[str, ModuleType] = {}
        self.builtins = ModuleType("builtins")
        vars(self.builtins).update(vars(builtins))
        vars(self.builtins)["__import__"] = self.find_import

    def find_import(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (),
                    level: int = 0) -> Any:
        """Import a module as `__import__` does. For a module of the folder, use this rank's copy."""
        package = (globals or {}).get("__package__") or ""
        if level and not package:
            return builtins.__import__(name, globals, locals, fromlist, level)  # raises Python's own error
        full = importlib.util.resolve_name("." * level + name, package) if level else name
        if self.spec_of(full.partition(".")[0]) is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = self.module(full)
        for each in fromlist or ():
            if each != "*" and not hasattr(module, each) and hasattr(module, "__path__"):
                self.module(f"{full}.{each}")
        return module if fromlist else self.module(full.partition(".")[0])

    def spec_of(self, name: str) -> ModuleSpec | None:
        """Returns the spec of a module of the folder; None for any other module."""
        parent, _, _ = name.rpartition(".")
        # example: unittest.main is not the program's main.py
        if name == "__main__" or parent and parent not in self.loaded:
            return None
        own = [self.folder, *(path for path in sys.path if path not in self.usual)]
        spec = PathFinder.find_spec(name, list(self.loaded[parent].__path__) if parent else own)
        # a folder without __init__.py is a package only if no module has this name
        is_folder = spec is not None and spec.origin is None
        return None if is_folder and PathFinder.find_spec(name) not in (None, spec) and not parent else spec

    def module(self, name: str) -> ModuleType:
        """Returns this rank's copy of the module. Loads it if necessary."""
        if name in self.loaded:
            return self.loaded[name]
        parent, _, last = name.rpartition(".")
        if parent:
            self.module(parent)
        spec = self.spec_of(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = vars(self.builtins)
        self.loaded[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del self.loaded[name]
            raise
        if parent:
            setattr(self.loaded[parent], last, module)
        return module


class Finder:
    """A finder for `sys.meta_path`. It puts a `SharedModule` into `sys.modules` for each module of the
    folder.
    """

    def __init__(self, of_thread: dict[int, RankModules], folder: str) -> None:
        self.of_thread, self.folder = of_thread, folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        modules = self.of_thread.get(threading.get_ident())
        if modules is None or modules.spec_of(name) is None:
            return None
        return ModuleSpec(name, self)                               # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return SharedModule(spec.name, lambda: self.copy(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        self.copy(object.__getattribute__(module, "__spec__").name)

    def copy(self, name: str) -> ModuleType:
        """Returns the copy of the calling rank. A thread that belongs to no rank gets the copy of the first
        rank.
        """
        modules = self.of_thread.get(threading.get_ident()) or next(iter(self.of_thread.values()))
        return modules.module(name)


@contextmanager
def own_modules(of_thread: dict[int, RankModules], folder: str) -> Iterator[Finder]:
    """A context in which each rank that is a thread has its own modules. of_thread: the modules of each
    thread; each rank adds its own entry.
    """
    finder, before = Finder(of_thread, folder), dict(sys.modules)
    sys.meta_path.insert(0, finder)
    sys.modules["__main__"] = SharedModule("__main__", lambda: finder.copy("__main__"))
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, SharedModule):
                sys.modules.pop(name)
        sys.modules["__main__"] = before["__main__"]
