"""ERRATA_WORLD.md: every command runs, and its verdict is the page's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from minipar.lessons.support.claims import CLAIMS, main, selective_recomputation, stage_3_factors

from minipar.plan.machine import machine
from minipar.plan.models import MODELS
from minipar.plan.utilisation import model_flops, utilisation
from tests.ranks import ROOT

ROWS = re.findall(
    r"^\| W(\d+) \|.*`python -m minipar\.lessons\.support\.claims (\d+)` \| (right|wrong) \|",
    (ROOT / "lessons" / "ERRATA_WORLD.md").read_text(encoding="utf-8"),
    re.M,
)


def test_the_page_has_a_row_for_each_claim() -> None:
    assert [(int(row), int(argument)) for row, argument, _ in ROWS] == [
        (n, n) for n in range(1, len(CLAIMS) + 1)
    ]
    assert len(CLAIMS) == 12


@pytest.mark.parametrize("number, verdict", [(int(row), verdict) for row, _, verdict in ROWS])
def test_a_command_prints_the_verdict_of_the_page(
    number: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(number)])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[1:]] == ["claim", "formula", "claimed", "minipar", "verdict"]
    assert shown[-1].split()[1].rstrip(":") == verdict


def test_the_command_starts_as_written() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minipar.lessons.support.claims", "3"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0 and "verdict  right" in done.stdout


def test_numbers_in_the_words_of_the_page() -> None:
    assert stage_3_factors((4,)) == pytest.approx([6.0], rel=1e-3)
    added = selective_recomputation()
    assert added.claimed == pytest.approx(3 * added.counted)
    model, a100 = MODELS["gpt-22b"], machine("a100-80g")
    hfu = utilisation(model_flops(model, 4) + added.counted, 1.10, 8, a100)
    assert round(100 * hfu, 1) == 42.4
