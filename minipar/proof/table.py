"""The text table of findings, for `minipar verify` and `equivalent`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minipar.proof.findings import Finding


def finding_rows(findings: Sequence[Finding], meaning: Mapping[str, str]) -> list[str]:
    """A heading and one line per finding. meaning: item -> its description."""
    names = max([16, *(len(one.item) + 2 for one in findings)])
    width = max([5, *(len(text) + 1 for text in meaning.values())])
    heading = (
        f"{'check':{names}}{'what':{width}}{'largest':>10}{'relative':>10}{'control':>10}  {'bits':6}  "
        "worst location"
    )
    return [heading, *(_row(one, meaning.get(one.item, ""), names, width) for one in findings)]


def _row(finding: Finding, meaning: str, names: int, width: int) -> str:
    bits = "equal" if finding.bits else "differ"
    wrong = "" if finding.proven else "WRONG: "
    return (
        f"{finding.item:{names}}{meaning:{width}}{finding.absolute:>10.1e}{finding.relative:>10.1e}"
        f"{finding.noise:>10.1e}  {bits:6}  {wrong}{finding.location}"
    ).rstrip()


def verdict(failed_checks: Sequence[str], right: str) -> str:
    """The last line of a report. right: the text if no check fails."""
    if failed_checks:
        return f"NOT PROVEN: {len(failed_checks)} checks fail, the first of them: {failed_checks[0]}"
    return f"PROVEN: {right}"
