"""`minipar doctor`: check whether this machine can run ranks. If not, show the command that repairs it.

    minipar doctor
"""

from __future__ import annotations

import argparse
import os

from minipar.cli.screen import hanging
from minipar.doctor.checkup import Host, check_up
from minipar.doctor.findings import broken


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return exit status 1 if ranks do not run, 0 if they do."""
    findings = []
    for finding in check_up(Host.here(os.environ)):
        findings.append(finding)
        print(hanging(f"{finding.status:8}{finding.name:16}", finding.text), flush=True)
        if finding.remedy:  # a command is not wrapped, so it can be copied
            print(f"{'':24}repair: {finding.remedy}", flush=True)
    return int(broken(findings))
