"""Who may import whom (the floors of the design), read from the source with `ast` and held against a
table.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import minipar
from tests.test_names import TREES, several

ROOT = Path(minipar.__file__).parent

# Each floor may import from the floors below it, and a package from itself.
FLOORS: list[set[str]] = [
    {"errors", "rng", "malloc", "arrays", "config", "records", "untrusted", "console"},
    {"autograd", "comm", "schedules", "plan"},
    {"nn", "optim", "data", "precision", "graph", "compress", "launcher", "doctor", "mpi4py_face",
     "asynchronous"},
    {"parallel", "checkpoint"},
    {"training", "inference", "serving", "proof", "plots", "trace", "tracking", "classroom", "exercises"},
    {"cli", "__main__", "__init__"},
]
# Within a floor, who else may be imported: a package -> its neighbours.
NEIGHBOURS = {
    "config": {"errors", "records"}, "records": {"errors"}, "untrusted": {"errors"}, "comm": {"plan"},
    "plan": {"schedules"}, "optim": {"nn"}, "graph": {"nn"}, "compress": {"nn", "optim"},
    "doctor": {"launcher"}, "training": {"inference"}, "serving": {"inference"},
    "proof": {"training", "inference"}, "trace": {"training"}, "tracking": {"training"}, "__main__": {"cli"},
}
FORBIDDEN = {("nn", "comm"), ("autograd", "comm"), ("data", "autograd"), ("optim", "comm")}
ONLY_IN = {"mpi4py": r"comm/mpi(/|\.py)", "matplotlib": r"plots/", "tqdm": r"cli(/|\.py)", "torch": r"$^",
           "safetensors": r"checkpoint/gpt2\.py"}
LONGEST = 300                                                       # lines of a file, but for those below


def imports(source: str) -> Iterator[str]:
    """Every module that the source imports, absolute; `from minipar import x` counts as minipar.x."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports out in full, from minipar.x import y"
            names = [f"minipar.{alias.name}"
                     for alias in node.names] if node.module == "minipar" else [str(node.module)]
            yield from names


def floor_of(package: str) -> int:
    return next((number for number, packages in enumerate(FLOORS) if package in packages), -1)


def violations(root: Path) -> list[str]:
    found = []
    for path in sorted(root.rglob("*.py")):
        here, source = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        package = here.split("/")[0].removesuffix(".py")
        if floor_of(package) < 0:
            found.append(f"{here}: {package} stands on no floor; add it to the table")
            continue
        if (lines := len(source.splitlines())) > LONGEST:
            found.append(f"{here}: {lines} lines, more than {LONGEST}: more than one idea?")
        for name in imports(source):
            top, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if top in ONLY_IN and not re.match(ONLY_IN[top], here):
                found.append(f"{here}: imports {top}, which only {ONLY_IN[top]} may")
            if top == "minipar" and target and target != package and target != "__version__":
                below = floor_of(target) < floor_of(package) or target in NEIGHBOURS.get(package, ())
                if not below or (package, target) in FORBIDDEN:
                    found.append(f"{here}: {package} may not import {target}")
    return found


def test_imports_only_go_down() -> None:
    assert violations(ROOT) == []


def test_a_class_or_alias_has_one_definition() -> None:
    again = several(*(ROOT.parent / tree for tree in TREES))
    assert not again, f"give one of them another name, or import it: {again}"


def test_the_check_sees_what_it_forbids(tmp_path: Path) -> None:
    planted = {
        "nn/layers.py": "from minipar.comm import protocol\n",
        "autograd/up.py": "import minipar.nn.module\n",
        "data/mpi.py": "from mpi4py import MPI\n",
        "parallel/fine.py": "from minipar import nn, comm\nimport numpy\n",
        "rng.py": "x = 1\n" * (LONGEST + 1),
        "training/x.py": "import matplotlib.pyplot\n",
        "stray.py": "",
    }
    for name, source in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    assert [line.split(":")[0] for line in violations(tmp_path)] == [
        "autograd/up.py", "data/mpi.py", "nn/layers.py", "rng.py", "stray.py", "training/x.py"]
