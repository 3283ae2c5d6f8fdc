"""Writes reference.json: the tokens that the package `tokenizers` gives to 200 random texts.

    pip install tokenizers; python -m tests.data.bytepair.make_reference
"""

import json
import random
import tempfile
from pathlib import Path

import tokenizers

from minipar.checkpoint.tokenizer_files import save_tokenizer
from minipar.data.bytepair.tokenizer import BytePairTokenizer
from minipar.data.text import python_documentation

RARE = "'s're'll't ''  \n\t\u2160\u00b2\u0663_\u00e9\u00e9\u6f22\u5b57\U0001f600\u2028\x1c\x1f\x85\u3000"


def main() -> None:
    tokenizer = BytePairTokenizer.learn(python_documentation()[:100_000], 500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        save_tokenizer(path, tokenizer)
        theirs = tokenizers.Tokenizer.from_file(str(path))
    rng = random.Random(0)
    characters = [chr(code) for code in range(0x3000)] + list(RARE) * 100 + list("etaoin shrdlu") * 500
    texts = ["".join(rng.choices(characters, k=rng.randint(1, 40))) for _ in range(200)]
    Path(__file__).with_name("reference.json").write_text(
        json.dumps(
            {"tokenizer": tokenizer.to_dict(), "texts": [(text, theirs.encode(text).ids) for text in texts]}
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
