"""One random stream per name.

What a parameter starts with must depend on its name, its whole shape and the seed, and on nothing else: not
on the order in which layers are built, nor on how many ranks share them. Then every layout starts from the
same model. A counter-based generator (Philox: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3") makes that cheap: the key is a hash of the name, and streams with different keys are independent.
"""

import hashlib

import numpy as np


def stream(seed: int, *key: object) -> np.random.Generator:
    """A generator that depends on the seed and the key alone, e.g. stream(0, "init",
    "blocks.3.mlp.up.weight").

    >>> one, same, other = (stream(0, "dropout", step).integers(10**9) for step in (3, 3, 4))
    >>> bool(one == same), bool(one == other)
    (True, False)
    """
    text = "\0".join(str(part) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
