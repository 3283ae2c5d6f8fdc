"""Event files: their bytes, read back by an independent reader, and by TensorBoard where it is installed."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import save
from minipar.errors import ConfigError
from minipar.tracking.event_file import BUCKETS, EventFile, crc32c, varint
from minipar.tracking.export import FILE, export, names_of
from minipar.tracking.run import read_run
from tests.commands import call
from tests.refusals import refused
from tests.tiny import options
from tests.tracking.events import fields, read_events, slow_crc32c
from tests.tracking.made import make_run


@pytest.mark.parametrize("data, crc", [
    (b"", 0), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C)])
def test_the_checksums_of_rfc_3720(data: bytes, crc: int) -> None:
    assert crc32c(data) == slow_crc32c(data) == crc


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**53 - 1])
def test_varints_come_back(number: int) -> None:
    assert list(fields(b"\x08" + varint(number))) == [(1, number)]


def test_scalars_and_histograms_come_back() -> None:
    file, noise = io.BytesIO(), np.random.default_rng(0).normal(size=(20, 30))
    events = EventFile(file, 1000.5)
    events.scalars(1001.0, 0, {"loss/training": 2.5, "step/lr": 0.1})
    events.scalars(1002.0, 2**40, {"loss/training": 1e39})          # infinite in float32
    events.scalars(1003.0, 5, {})
    events.histograms(1004.0, 7, {"weights/x": noise, "weights/zero": np.zeros(3, np.float32)})
    first, one, two, last = read_events(file.getvalue())
    assert first.version == "brain.Event:2" and first.wall_time == 1000.5
    assert (one.wall_time, one.step, one.values) == (
        1001.0,
        0,
        {"loss/training": 2.5, "step/lr": np.float32(0.1)},
    )
    assert (two.step, two.values) == (2**40, {"loss/training": np.inf})
    histogram, zero = last.values["weights/x"], last.values["weights/zero"]
    assert last.step == 7 and histogram[1] == noise.min() and histogram[2] == noise.max()
    assert histogram[3] == 600 and histogram[4] == pytest.approx(noise.sum())
    assert (
        histogram[5] == pytest.approx((noise**2).sum()) and len(histogram[6]) == len(histogram[7]) == BUCKETS
    )
    for limit, below in zip(histogram[6][:-1], np.cumsum(histogram[7]), strict=False):
        assert (noise < limit).sum() == below
    assert sum(zero[7]) == 3 and zero[1] == zero[2] == 0


def test_a_changed_byte_is_seen() -> None:
    """The reader of these tests can fail."""
    file = io.BytesIO()
    EventFile(file, 0.0).scalars(0.0, 1, {"a": 1.0})
    data = file.getvalue()
    for at in range(0, len(data), 7):
        with pytest.raises((AssertionError, IndexError)):
            read_events(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])


def test_a_run_without_checkpoints(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [3.0, 2.0], {1: 2.25})
    os.utime(run / "metrics.jsonl", (5000.0, 5000.0))
    points = export(read_run(run), "mine", tmp_path / "logs")
    events = read_events((tmp_path / "logs" / "mine" / FILE).read_bytes())
    assert [(event.wall_time, event.step) for event in events] == [(4999.0, 0), (4999.5, 0), (5000.0, 1)]
    assert [event.values["loss/training"] for event in events[1:]] == [3.0, 2.0]
    assert events[2].values["loss/validation"] == 2.25 and "loss/validation" not in events[1].values
    assert (
        points["loss/training"] == 2
        and points["loss/validation"] == 1
        and "gradient/loss_scale" not in points
    )
    before = (tmp_path / "logs" / "mine" / FILE).read_bytes()
    export(read_run(run), "mine", tmp_path / "logs")
    assert (tmp_path / "logs" / "mine" / FILE).read_bytes() == before, "the same run is the same file"


def test_equal_names_are_refused(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / folder / "run", [1.0])) for folder in ("a", "b")]
    with refused(ConfigError, "called run"):
        names_of(runs)
    assert names_of(runs[:1]) == ["run"]


def test_a_damaged_checkpoint_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", [1.0])
    (run / "checkpoints").mkdir()
    save(run / "checkpoints" / "step-00000001.npz", {"weights/x": np.ones(2)}, {"step": 1})
    assert call("runs", "export", run, "--tensorboard", tmp_path / "logs") == 2
    assert "step-00000001.npz" in capsys.readouterr().err and not list(tmp_path.glob("logs/**/*tfevents*"))


def test_a_real_run_read_back(tmp_path: Path) -> None:
    """TensorBoard's own reader gives the numbers of the log, where it is installed; ours does in any case."""
    assert call("train", *options(tmp_path, steps=6), "--out", tmp_path / "run") == 0
    assert call("runs", "export", tmp_path / "run", "--tensorboard", tmp_path / "logs") == 0
    log = read_run(tmp_path / "run").log
    losses = [float(np.float32(loss)) for loss in log.columns["loss"]]
    events = read_events((tmp_path / "logs" / "run" / FILE).read_bytes())
    assert [event.values["loss/training"] for event in events if "loss/training" in event.values] == losses
    weights = next(event.values for event in events if "weights/tokens.weight" in event.values)
    assert len(events) == 8 and weights["weights/tokens.weight"][3] > 8
    if find_spec("tensorboard"):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(
            str(tmp_path / "logs" / "run"), size_guidance={"scalars": 0, "histograms": 0}
        ).Reload()
        assert [(one.step, one.value) for one in found.Scalars("loss/training")] == list(enumerate(losses))
        (histogram,) = found.Histograms("weights/tokens.weight")
        assert histogram.step == 6 and histogram.histogram_value.num == weights["weights/tokens.weight"][3]
