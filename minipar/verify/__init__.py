"""Is a parallel training the same as that of one process? Read proof.py first, then record.py and findings.py.

mutants/ holds the classic bugs, to show that each of them is seen.
"""

from minipar.verify.case import Case, uneven_case
from minipar.verify.proof import Report, verify
from minipar.verify.reference import Reference, run_alone

__all__ = ["Case", "Reference", "Report", "run_alone", "uneven_case", "verify"]
