"""Proves that a parallel training equals the training of one process. Read proof.py first, then record.py and
findings.py.

mutants/ contains classic bugs. Tests show that the proof detects each of them. equivalent/ compares a
parallel program with a serial one. Both may be the user's own. autopsy/ finds the bugs that explain given
symptoms.
"""

from minipar.proof.case import Case, uneven_case
from minipar.proof.on_threads import verify
from minipar.proof.proof import VerificationReport, prove
from minipar.proof.reference import Reference, make_reference, shared_reference

__all__ = ["Case", "Reference", "VerificationReport", "make_reference", "prove",
           "shared_reference", "uneven_case", "verify"]
