"""Formats findings as a text table, for `minipar verify` and `equivalent`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from minipar.proof.findings import Finding


def finding_rows(findings: Sequence[Finding], meaning: Mapping[str, str]) -> list[str]:
    """Returns a heading and one row per finding, at most 80 columns wide. meaning: item -> description."""
    names = max([16, *(len(one.item) + 2 for one in findings)])
    width = max([5, *(len(text) + 1 for text in meaning.values())])
    rows = [f"{'check':{names}}{'what':{width}}{'relative':>9}  bits"]
    for one in findings:
        rows += _rows(one, meaning.get(one.item, ""), names, width)
    return rows


def _rows(finding: Finding, meaning: str, names: int, width: int) -> list[str]:
    """Returns one row. If the check fails, a second row has the location, and a third row has the sizes of
    the difference and of the noise.
    """
    bits = "equal" if finding.bits else "differ"
    row = f"{finding.item:{names}}{meaning:{width}}{finding.relative:>9.1e}  {bits}"
    if finding.proven:
        return [row]
    found = f"largest difference {finding.absolute:.1e}; noise alone {finding.noise:.1e}"
    return [row, f"  WRONG: {finding.location or 'everywhere'}", f"         {found}"]


def wrapped(text: str) -> list[str]:
    """Splits a long line into lines of at most 79 columns. All lines except the first are indented."""
    return textwrap.wrap(text, 79, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def verdict(failed_checks: Sequence[str], right: str) -> str:
    """Returns the last line of a report. right: the text of this line if no check fails."""
    if failed_checks:
        return f"NOT PROVEN: {len(failed_checks)} checks fail, the first of them: {failed_checks[0]}"
    return f"PROVEN: {right}"
