"""What a check has found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthFinding:
    """One line of the doctor's report. remedy: a command to type; "" where nothing needs mending.

    status: "ok"; "note": ranks run, but not in the best way, or not by every command; "broken": ranks do not
    run.
    """

    name: str
    status: str
    text: str
    remedy: str = ""


def broken(findings: list[HealthFinding]) -> bool:
    return any(finding.status == "broken" for finding in findings)
