"""Proves that a parallel training run equals the training of one process. Read proof.py first, then record.py
and findings.py.

mutants/ contains mutants: classic bugs that can be planted in the code. Tests show that the proof detects
each mutant. equivalent/ compares a parallel program with a serial one, and a user can write both programs.
autopsy/ finds the bugs that explain given symptoms.
"""

from minipar.proof.case import Case, uneven_case
from minipar.proof.on_threads import verify
from minipar.proof.proof import VerificationReport, prove
from minipar.proof.reference import Reference, make_reference, shared_reference

__all__ = ["Case", "Reference", "VerificationReport", "make_reference", "prove",
           "shared_reference", "uneven_case", "verify"]
