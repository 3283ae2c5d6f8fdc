"""A sample of the fuzzer of files, in a process whose memory is limited.

The whole: python -m tests.checkpoint.fuzz_files.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_strange_files_are_read_or_refused_in_one_line() -> None:
    seed = random.randrange(10**6)  # another sample every time; a failure names its seed
    done = subprocess.run([sys.executable, "-m", "tests.checkpoint.fuzz_files", "12", str(seed)], cwd=ROOT,
                          text=True, capture_output=True, timeout=120)
    assert done.returncode == 0 and f"seed {seed}: " in done.stdout, done.stderr[-3000:]
