"""Makes the folder of a run without a training: its config and a log with given losses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minipar.config import Layout, ModelConfig, TrainConfig


def make_run(folder: Path, losses: Sequence[float], validations: Mapping[int, float] = {}, *,
             finished: bool = True, **config: Mapping[str, Any]) -> Path:
    """losses: of steps 0, 1, ...; validations: step -> loss. config: fields of model, train and layout by
    name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"model": asdict(ModelConfig(**config.get("model", {}))),
             "train": asdict(TrainConfig(**config.get("train", {}))),
             "layout": asdict(Layout(**config.get("layout", {}))), "trace": False}
    (folder / "config.json").write_text(json.dumps(parts))
    records: list[dict[str, Any]] = []
    for step, loss in enumerate(losses):
        records.append(dict(step=step, loss=loss, norm=1.0, lr=0.1, seconds=0.5, tokens=40))
        if step in validations:
            records.append(dict(step=step, validation=validations[step]))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    if finished:
        (folder / "summary.txt").write_text("a summary\n")
    return folder
