"""Stream generated text: each piece is returned as soon as its characters are complete.

One character may take several tokens: "€" is three bytes of UTF-8, and each byte may be a separate token.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from minipar.data.tokenizer import Tokenizer


def stream_text(tokenizer: Tokenizer, tokens: Iterable[int]) -> Iterator[str]:
    """Yield the text of the tokens in non-empty pieces. Their concatenation is tokenizer.decode(tokens).

    >>> from minipar.data.tokenizer import ByteTokenizer
    >>> list(stream_text(ByteTokenizer(), [72, 105, 0xE2, 0x82, 0xAC]))
    ['H', 'i', '€']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in tokens:
        if text := decoder.decode(tokenizer.decode_bytes([token])):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text
