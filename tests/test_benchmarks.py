"""The benchmarks measure what they say: all products are there, and every variant of a step is the same
step.
"""

import asyncio
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from minipar.lessons.plots.compression_benchmark import draw_compression

import minipar
from minipar.config import ModelConfig
from minipar.errors import CheckpointError
from minipar.nn import counts
from tests.commands import call
from tests.serving.running import running
from tests.tiny import TEXT, losses, options

sys.path.insert(0, str(Path(minipar.__file__).parents[1] / "benchmarks"))  # a folder of scripts, no package

import compress  # noqa: E402
import compression  # noqa: E402
import forward_graph  # noqa: E402
import products  # noqa: E402
import queueing  # noqa: E402
import scale  # noqa: E402
import serving  # noqa: E402
import serving_http  # noqa: E402
import step  # noqa: E402
import tricks  # noqa: E402
import turns  # noqa: E402

TINY = ModelConfig(vocabulary=11, context=70, layers=2, heads=2, width=8)
TASK = TINY, 3, "float64"


def test_bare_products_are_those_of_a_step() -> None:
    flops = sum(2 * call.keywords["out"].size * call.args[0].shape[-1]
                for call in products.bare_products(*TASK))
    assert flops == sum(counts.training_flops(TINY, 3, TINY.context).values())


def test_every_way_of_serving_gives_each_request_its_token() -> None:
    calls = serving.contenders(TINY, 5)
    for name in calls:
        kind, _, batch = name.rpartition(" ")
        if kind not in ("bare", "Hugging Face", ""):
            assert [token.request for token in calls[name]()] == list(range(int(batch)))
    model = serving.mp.GPT(TINY)
    scattered = serving.engine_step(model, 2, 35, scattered=True).__self__
    tables = [one.table for one in scattered.scheduler.running]
    assert len(tables[0]) == 3 and all(abs(a - b) > 1 for table in tables for a, b in pairwise(table))
    assert sum(w.size for w in serving.decoding_weights(model)) == sum(
        p.data.size for p in model.parameters() if p.ndim == 2 and p.name != "positions.weight")


@pytest.mark.parametrize("op_by_op", [False, True])
def test_every_form_of_a_forward_pass_gives_the_same_logits(op_by_op: bool) -> None:
    logits = {name: call() for name, call in forward_graph.contenders(TINY, 2, op_by_op).items()}
    assert logits["captured"].tobytes() == logits["exact"].tobytes() == logits["model"].tobytes()
    for name in ("optimised", "layouts"):
        np.testing.assert_allclose(logits[name], logits["model"], rtol=0, atol=1e-5)


def test_clients_over_http_get_all_tokens() -> None:
    """Its own assertion counts them."""
    with running(serving_http.engine(width=8)) as server:
        rate, first, between = asyncio.run(serving_http.over_http(server.port, 3, 5))
    assert min(rate, first, between) > 0 and serving_http.engine_rate(serving_http.engine(width=8), 3, 5) > 0


def test_every_policy_of_serving_has_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["queueing.py", "--model", "gpt2", "--rates", "4", "--requests", "2"])
    queueing.main()
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == ["static", "continuous", "chunked", "unshared", "recompute", "swap"]


@pytest.mark.parametrize("trick", tricks.WITHOUT)
def test_a_step_without_a_trick_is_the_same_step(trick: str) -> None:
    with_all, without = step.minipar_step(*TASK), tricks.step_without(tricks.WITHOUT[trick], *TASK)
    losses = [(with_all(), without()) for _ in range(4)]
    assert losses[3][0] < losses[0][0]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-10)  # type: ignore[call-overload]


def test_the_plain_forms_leave_no_trace() -> None:
    before = step.minipar_step(*TASK)()
    step.plain_forms()(step.minipar_step(*TASK))()
    assert step.minipar_step(*TASK)() == before


def test_compression_is_measured_on_one_matrix_against_a_copy_of_it() -> None:
    calls = compress.elementwise(100, 10)
    assert list(calls)[0] == compress.COPY and calls[compress.COPY]() is None
    results = {name: call() for name, call in calls.items() if name != compress.COPY}
    assert {name: result.codes.shape for name, result in results.items()
            if name.startswith("quantise, ")} == \
        {name: (100, 10) for name in results if name.startswith("quantise, ")} and len(results) == 12
    np.testing.assert_array_equal(results["dequantise"], results["quantise and back, in training"].data)
    times = turns.measure(calls, rounds=1, warm_up=0)
    assert turns.ratios([times], compress.COPY, compress.COPY) == [1.0] and times.keys() == calls.keys()


def test_all_measured_products_of_integers_are_the_same() -> None:
    results = [call() for call in compress.products(3, 700, 5).values()]
    for result in results:
        np.testing.assert_array_equal(result, results[-1])


def test_ratios_compare_neighbours_in_a_round() -> None:
    """The machine gets ten times slower half-way: times do, ratios do not."""
    slow = [1.0] * 5 + [10.0] * 5
    runs = [{"a": [3 * t for t in slow], "b": slow}, {"a": [2 * t for t in slow], "b": slow}]
    assert turns.ratios(runs, "a", "b") == [2.0, 3.0]
    assert turns.milliseconds(runs, "b") == 1e3 * median(slow)


def test_many_ranks_are_measured_with_equal_work() -> None:
    for ranks, (dp, pp) in scale.LAYOUTS.items():
        layout, model, train = scale.task(ranks)
        assert layout.ranks == ranks and (dp * pp * scale.TP, model.layers) == (ranks, pp)
        assert train.batch == dp * train.micro_batches
    found = scale.measured(8)
    assert found["difference"] < 1e-12 and found["messages"] > 0 and found["memory"] > 10
    assert "2.00" in scale.row(8, [found], 1e3 * found["processor"] / 16) and "equal" in scale.row(
        8, [found], None
    )
    assert "DIFFERENT" in scale.row(8, [found | {"difference": 1e-9}], None)


def test_measure_drops_the_warm_up() -> None:
    calls: list[str] = []
    times = turns.measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=4,
                          warm_up=2)
    assert calls == ["a", "b"] * 6
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 4, "b": 4}


def test_the_table_of_compression() -> None:
    """A model of a few bytes through every row: sizes fall with bits and sparsity, and what costs, costs more
    the more is taken.
    """
    effort = compression.Effort(training=60, tuning=8, student=8, windows=8)
    subject = compression.trained(TEXT, effort, 0, layers=2, heads=2, width=16, context=16)
    rows = list(compression.measure(subject))
    methods = {row.method: [other for other in rows if other.method == row.method] for row in rows}
    assert [len(group) for group in methods.values()] == [1, 6, 6, 6, 6, 5, 3, 2, 2]
    for name in ("quantised after training", "quantised in training", "pruned, one shot",
                 "pruned, fine-tuned", "pruned, gradual"):
        sizes, losses = [row.bytes for row in methods[name]], [row.loss for row in methods[name]]
        assert sizes == sorted(sizes, reverse=True) and losses[-1] > losses[0]
    assert methods["quantised in training"][-1].loss < methods["quantised after training"][-1].loss
    assert methods["pruned, fine-tuned"][-1].loss < methods["pruned, one shot"][-1].loss
    figure = draw_compression(rows)
    assert {text.get_text() for text in figure.axes[0].get_legend().get_texts()} == set(methods)


def test_the_table_of_compression_of_a_run(tmp_path: Path) -> None:
    """The model that a run saved, and the text that it learnt; a folder without one is refused in words."""
    assert call("train", *options(tmp_path, out=tmp_path / "run", steps=4)) == 0
    effort = compression.Effort(training=4, tuning=1, student=1, windows=4)
    subject = compression.of_run(str(tmp_path / "run"), None, effort, 0)
    assert subject.model.config.width == 8
    last = [line["validation"] for line in losses(tmp_path / "run") if "validation" in line][-1]
    assert abs(subject.loss(subject.model) - last) < 0.1
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        compression.of_run(str(tmp_path / "none"), None, effort, 0)
