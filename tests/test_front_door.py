"""The public names: a frozen list, loaded when they are used, each of them called as its docstring shows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.errors import CheckpointError
from minipar.tracking.run import read_run
from tests.ranks import ROOT
from tests.refusals import refused

PUBLIC = {"Communicator", "Engine", "EngineOptions", "GPT", "Grid", "Layout", "MiniparError", "ModelConfig",
          "OnRank", "Partial", "Replicated", "RunFolder", "Sampling", "Shard", "Tensor", "TextRequest",
          "TrainConfig", "Trainer", "all_reduce", "backward", "compare_gradients", "equivalent", "fit",
          "generate", "gradcheck", "job", "lint", "make_tokenizer", "run", "run_program", "same_on_all_ranks",
          "schedule", "simulate", "train", "verify"}


def test_the_public_names() -> None:
    assert set(mp.__all__) == PUBLIC and set(dir(mp)) == PUBLIC | {"__version__"}


def test_no_public_name_is_the_name_of_a_module() -> None:
    """Else a name would be a function at first and a module after somebody imported that."""
    modules = {module.name for module in pkgutil.iter_modules(mp.__path__)}
    assert not modules & PUBLIC


def test_public_names_stay_what_they_are_when_all_modules_are_imported() -> None:
    for module in pkgutil.walk_packages(mp.__path__, "minipar."):
        if "mpi" not in module.name.split(".") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert all(callable(getattr(mp, name)) for name in PUBLIC)


def test_the_import_loads_no_numpy() -> None:
    probe = "import sys, minipar; sys.exit('numpy' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT, timeout=60).returncode == 0


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(AttributeError, match="verifi.*verify"):
        _ = mp.verifi


def test_ranks_as_threads() -> None:
    sums = mp.run(3, lambda comm: mp.all_reduce(comm, np.full(2, comm.rank)))
    assert [total.tolist() for total in sums] == [[3, 3]] * 3


def test_a_model_and_its_gradient() -> None:
    model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    tokens = np.array([[1, 2, 3, 4]])
    mp.backward(model.loss(tokens, tokens))
    assert all(p.grad is not None for p in model.parameters())


def test_a_schedule() -> None:
    schedule = mp.schedule("1f1b", 4, 8)
    assert (
        mp.lint(schedule).safe_async
        and mp.simulate(schedule).bubble() == mp.simulate(mp.schedule("gpipe", 4, 8)).bubble()
    )


def test_a_proof() -> None:
    assert mp.verify(mp.Layout(dp=2)).proven


TEXT = "to be or not to be, that is the question. " * 40
SMALL: dict[str, Any] = {"layers": 1, "heads": 2, "width": 8, "context": 8, "batch": 4, "dtype": "float64",
         "validation_windows": 2}


def test_a_training_in_one_call_is_the_same_on_every_layout() -> None:
    one = mp.train(TEXT, steps=3, **SMALL)
    two = mp.train(TEXT, layout=mp.Layout(dp=2, tp=2), steps=3, **SMALL)
    assert len(one.losses) == 3 and np.allclose(one.losses, two.losses, rtol=1e-12)
    assert abs(one.validation - two.validation) < 1e-12
    assert two.write("to be", 5).startswith("to be") and len(two.write("to be", 5)) == 10


def test_a_training_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    assert mp.train(tmp_path / "text.txt", steps=1, **SMALL).losses == mp.train(TEXT, steps=1, **SMALL).losses


def test_a_training_that_saves_and_resumes(tmp_path: Path) -> None:
    """Three steps, saved and continued to five, give the same losses as five; the folder is a run."""
    letters = mp.make_tokenizer("char", TEXT)
    model = mp.ModelConfig(vocabulary=letters.vocab_size, **{name: SMALL[name] for name in
                                                             ("layers", "heads", "width", "context")})

    def training(comm: mp.Communicator, steps: int, resume: bool) -> list[float]:
        config = mp.TrainConfig(
            batch=4, steps=steps, dtype="float64", validation_windows=2, schedule="constant"
        )
        trainer = mp.Trainer(model, config, letters, letters.encode(TEXT), mp.Grid(comm, mp.Layout(dp=2)))
        with mp.RunFolder(tmp_path / "run", writes=comm.rank == 0) as folder:
            (folder.resume if resume else folder.start)(trainer)
            return [step.loss for step in mp.fit(trainer, folder).steps]

    first, rest = mp.run(2, training, 3, False)[0], mp.run(2, training, 5, True)[0]
    whole = mp.train(
        TEXT, layout=mp.Layout(dp=2), steps=5, schedule="constant", out=tmp_path / "whole", **SMALL
    )
    assert first + rest == whole.losses
    runs = [read_run(tmp_path / name) for name in ("run", "whole")]
    assert [run.config["train"]["steps"] for run in runs] == [5, 5]
    assert runs[0].log.columns["loss"].tolist() == runs[1].log.columns["loss"].tolist() == whole.losses
    with refused(CheckpointError, item=str(tmp_path / "whole")):
        mp.train(TEXT, steps=1, out=tmp_path / "whole", **SMALL)


@pytest.mark.parametrize("text, options, word", [
    ("no/such/file.txt", {}, "does not exist"), (TEXT, {"withd": 8}, "withd"), ("short text", SMALL, "text")])
def test_mistakes_are_one_line(text: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(mp.MiniparError, match=word) as error:
        mp.train(text, steps=1, **options)
    assert "\n" not in str(error.value)


def by_the_back_door(folder: Path) -> list[str]:
    """file: module.name, of the public names that scripts import from inside of minipar."""
    public = {id(getattr(mp, name)) for name in PUBLIC}
    found = []
    for path in sorted(folder.rglob("*.py")):
        if "exercises" in path.parts:                               # they import what they are about
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("minipar."):
                module = importlib.import_module(str(node.module))
                found += [f"{path.name}: {node.module}.{alias.name}" for alias in node.names
                          if id(getattr(module, alias.name, None)) in public]
    return found


@pytest.mark.parametrize("folder", ["lessons", "benchmarks"])
def test_lessons_and_benchmarks_come_in_by_the_front_door(folder: str) -> None:
    assert by_the_back_door(ROOT / folder) == []


def test_the_check_sees_a_back_door(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "from minipar.config import Layout, preset\nfrom minipar.nn import GPT as Model\n"
    )
    assert by_the_back_door(tmp_path) == ["one.py: minipar.config.Layout", "one.py: minipar.nn.GPT"]
