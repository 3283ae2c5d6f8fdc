"""The result of one check."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthFinding:
    """One line of the report of `minipar doctor`. remedy: a command to type; "" if nothing needs repair.

    status: "ok", "note" or "broken". "note" means that ranks run, but that they are slower than possible, or
    that some commands do not start them. "broken" means that ranks do not run.
    """

    name: str
    status: str
    text: str
    remedy: str = ""


def broken(findings: list[HealthFinding]) -> bool:
    return any(finding.status == "broken" for finding in findings)
