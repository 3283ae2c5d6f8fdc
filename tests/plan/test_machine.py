"""Machine files: the stored ones are right, and every missing or absurd value is named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minipar.errors import ConfigError
from minipar.plan.groups import collective, members_per_node, neighbour
from minipar.plan.machine import MACHINES, machine, machine_from, machine_names
from minipar.plan.models import MODELS, find_model

GOOD: dict[str, Any] = json.loads((MACHINES / "a100-80g.json").read_text())


def test_the_stored_machines_are_those_of_the_data_sheets() -> None:
    """Peak in teraFLOP/s, memory in GiB, ranks of a node."""
    sheets = {
        "v100-32g": (125, 32, 16),
        "a100-40g": (312, 40, 8),
        "a100-80g": (312, 80, 8),
        "h100-80g": (989, 80, 8),
        "h200-141g": (989, 141, 8),
        "tpu-v3": (123, 32, 1024),
        "tpu-v4": (275, 32, 4096),
        "tpu-v5e": (197, 16, 256),
        "tpu-v5p": (459, 95, 8960),
        "laptop": None,
    }
    assert set(machine_names()) == set(sheets)
    for name, sheet in sheets.items():
        found = machine(name)
        assert found.name == name and found.source and found.calibration
        if sheet:
            assert (found.peak / 1e12, found.memory / 2**30, found.per_node) == sheet


def test_a_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**machine("h100-80g").to_dict(), "name": ""}))
    found = machine(str(path))
    assert (
        found.name == "mine"
        and found.rate == machine("h100-80g").rate
        and found.within == machine("h100-80g").within
    )


@pytest.mark.parametrize(
    "change, item",
    [
        ({"rate": None}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"rate": -1}, "rate"),
        ({"rate": 1e30}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": 400e12}, "rate"),
        ({"rate": True}, "rate"),
        ({"launch": 5}, "launch"),
        ({"memory": 80}, "memory"),
        ({"memory": float("inf")}, "memory"),
        ({"reserve": 1e14}, "reserve"),
        ({"per_node": 0}, "per_node"),
        ({"per_node": 2.5}, "per_node"),
        ({"within": 3}, "within"),
        ({"within": {"latency": 1e-6}}, "within"),
        ({"between": {"latency": 1e-6, "bandwidth": 0}}, "bandwidth"),
        ({"between": {"latency": 2, "bandwidth": 1e9}}, "latency"),
        ({"speed": 1}, "speed"),
        ({"name": 3}, "name"),
        *(({"peak": value}, "peak") for value in ("", None, [], {}, False, -1, "1e12", float("nan"))),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], item: str) -> None:
    with pytest.raises(ConfigError) as caught:
        machine_from({**GOOD, **change}, "x.json")
    assert caught.value.facts["item"] == item and "x.json" in str(caught.value)


def test_a_peak_of_zero_is_the_rate() -> None:
    assert machine_from({**GOOD, "peak": 0}, "x.json").peak == GOOD["rate"]


@pytest.mark.parametrize("name", ["rate", "launch", "memory_rate", "within", "between", "per_node", "memory"])
def test_a_missing_value_is_named(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        machine_from({key: value for key, value in GOOD.items() if key != name}, "x.json")
    assert caught.value.facts["item"] == name


@pytest.mark.parametrize("text", ["[1, 2]", "3", "{", "", '{"rate": 1e999}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        machine(str(path))


@pytest.mark.parametrize("name", ["a100", "nowhere.json", ""])
def test_unknown_machines_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        machine(name)


def test_groups_use_the_links_that_they_have() -> None:
    dgx = machine("a100-80g")
    assert [members_per_node(dp, tp, dgx) for dp, tp in ((4, 1), (64, 1), (64, 4), (64, 8), (2, 2))] == [
        4,
        8,
        2,
        1,
        2,
    ]
    inside = collective("all_reduce", 8, 1e9, 1, dgx)
    assert inside == pytest.approx(2 * 7 / 8 * 1e9 / dgx.within.bandwidth, rel=0.01)
    # two levels: a ring inside, then each of the 8 members sums an eighth over the 4 nodes
    across = collective("all_reduce", 32, 1e9, 1, dgx)
    assert across - inside == pytest.approx(2 * 3 / 4 * 1e9 / 8 / dgx.between.bandwidth, rel=0.01)
    assert neighbour(1e6, 1, 8, dgx) < neighbour(1e6, 8, 2, dgx)


def test_models_by_name_and_by_sizes() -> None:
    assert find_model("llama2-70b") == MODELS["llama2-70b"]
    changed = find_model("gpt3-175b,context=4096,dropout=0,tied=false")
    assert (changed.context, changed.width, changed.dropout, changed.tied) == (4096, 12288, 0.0, False)
    for wrong in (
        "gpt5",
        "layers",
        "layers=x",
        "layers=2,speed=3",
        "layers=-1",
        "tied=yes",
        "heads=3,kv_heads=2",
        "heads=5",
        "layers=4,layers=5",
        "gpt2,width=8,width=16",
        "",
    ):
        with pytest.raises(ConfigError):
            find_model(wrong)
