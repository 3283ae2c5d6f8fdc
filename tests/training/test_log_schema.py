"""The schema of metrics.jsonl: its page, the records of real runs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipar.training.log_schema import RECORDS, STEP, VALIDATION, is_complete, record_error, table
from minipar.training.run_folder import read_metrics
from tests.commands import call
from tests.ranks import ROOT
from tests.tiny import options


def test_the_page_shows_the_tables_of_the_code() -> None:
    page = (ROOT / "minipar" / "training" / "LOG.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in page if line.startswith("|")]
    assert rows == table(STEP) + table(VALIDATION)


@pytest.mark.parametrize("precision, ranks", [("float32", 1), ("float16", 1), ("bfloat16", 2)])
def test_every_record_of_a_real_run_satisfies_the_schema(precision: str, ranks: int, tmp_path: Path) -> None:
    """float16 starts with a loss scale that overflows, so a step is skipped and its norm is null."""
    scale = {"loss_scale": 2.0**40} if precision == "float16" else {}
    assert call("train", *options(tmp_path, steps=8, precision=precision, **scale), "--out", tmp_path / "run",
                "--dp", ranks, *(["--engine", "threads"] if ranks > 1 else [])) == 0
    records = list(read_metrics(tmp_path / "run" / "metrics.jsonl"))
    assert [record_error(record) for record in records] == [""] * len(records)
    assert all(is_complete(record, precision) for record in records)
    assert [record["step"] for record in records if "loss" in record] == list(range(8))
    assert [record["step"] for record in records if "validation" in record] == [3, 7]
    assert any(record.get("norm", 0) is None for record in records) == (precision == "float16")


def test_a_record_without_a_field_is_not_complete() -> None:
    record = {field.name: 1 for field in STEP if field.written == "always"}
    assert is_complete(record, "float32") and not is_complete(record, "float16")
    assert not is_complete({**record, "more": 1}, "float32")
    record.pop("norm")
    assert record_error(record) == "" and not is_complete(record, "float32")


@pytest.mark.parametrize("values, word", [
    (3, "object"), (None, "object"), ([1], "object"), ({}, "step"), ({"step": 1}, "step"),
    ({"loss": 1.0}, "step"),
    ({"step": 1, "loss": 1.0, "validation": 1.0}, "either"), ({"step": -1, "loss": 1.0}, "step is -1"),
    ({"step": 1.5, "loss": 1.0}, "step is 1.5"), ({"step": True, "loss": 1.0}, "step is True"),
    ({"step": 10**300, "loss": 1.0}, "step"), ({"step": 2**53, "loss": 1.0}, "step"),
    ({"step": 1, "loss": "low"}, "loss is 'low'"), ({"step": 1, "loss": None}, "loss is None"),
    ({"step": 1, "loss": float("nan")}, "loss is nan"), ({"step": 1, "loss": float("inf")}, "loss is inf"),
    ({"step": 1, "loss": 10**400}, "loss"), ({"step": 1, "loss": [1.0]}, "loss is [1.0]"),
    ({"step": 1, "loss": 1.0, "norm": -1}, "norm is -1"),
    ({"step": 1, "loss": 1.0, "seconds": 1e300}, "seconds"),
    ({"step": 1, "loss": 1.0, "skipped": 1}, "skipped is 1"),
    ({"step": 1, "loss": 1.0, "accuracy": 1}, "accuracy"),
    ({"step": 1, "validation": 1.0, "lr": 1}, "'lr'"), ({"step": 1, "loss": 1.0, "x" * 9000: 1}, "unknown")])
def test_what_is_not_a_record(values: object, word: str) -> None:
    assert word in record_error(values) and len(record_error(values)) < 500


def test_the_fields_of_a_table_have_different_names() -> None:
    assert all(len({field.name for field in fields}) == len(fields) for fields in RECORDS.values())
