"""The result of one check."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthFinding:
    """One line of the doctor's report. remedy: a command to type; "" if nothing needs repair.

    status: "ok", "note" or "broken". "note" means that ranks run, but slower than possible or not with every
    command. "broken" means that ranks do not run.
    """

    name: str
    status: str
    text: str
    remedy: str = ""


def broken(findings: list[HealthFinding]) -> bool:
    return any(finding.status == "broken" for finding in findings)
