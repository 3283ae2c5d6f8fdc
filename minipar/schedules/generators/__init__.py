"""Generates pipeline schedules. A rule defines each schedule, and no schedule needs a search.

Read plain.py first (GPipe, 1F1B), then virtual.py (several stages per rank), zero_bubble.py (backward in two
parts) and v_shaped.py (both ideas).

    schedule = make_schedule("1f1b", ranks=4, micro_batches=8)
"""

from minipar.schedules.generators.inference import forward_only
from minipar.schedules.generators.table import SCHEDULES, Generator, make_schedule

__all__ = ["SCHEDULES", "Generator", "forward_only", "make_schedule"]
