"""Splits a text into words by GPT-2's rule. Pairs of tokens are merged only inside a word.

There are three kinds of words:
* an English ending: 's, 't, 're, 've, 'm, 'll or 'd;
* a run of letters, of digits, or of other characters, with at most one space before the run;
* a run of white space.

The last space before a run belongs to the run:

    "I'll pay  20 ducats."  ->  "I" "'ll" " pay" " " " 20" " ducats" "."
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata

# Unicode's white space. Python's \s also has the four control characters U+001C to U+001F.
SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def split_words(text: str) -> list[str]:
    """Return the words of the text, in order. Their concatenation is the text.

    >>> split_words("I'll pay  20 ducats.")
    ['I', "'ll", ' pay', ' ', ' 20', ' ducats', '.']
    """
    return _pattern().findall(text)


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Return the rule as a regular expression. A letter has a Unicode category L*, and a digit has N*.

    Python's \\w has letters, digits and "_"; \\d has only decimal digits (Nd). The other digits, such as the
    Roman numeral U+2163, come from a list of all characters in the categories Nl and No.
    """
    others = "".join(character for character in map(chr, range(sys.maxunicode + 1))
                     if unicodedata.category(character) in ("Nl", "No"))
    letter, digit = rf"[^\W\d_{others}]", rf"[\d{others}]"
    other = rf"(?:[^\w{SPACE}{others}]|_)"
    return re.compile(rf"'(?:s|t|re|ve|m|ll|d)| ?{letter}+| ?{digit}+| ?{other}+"
                      rf"|[{SPACE}]+(?![^{SPACE}])|[{SPACE}]+")
