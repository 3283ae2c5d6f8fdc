"""Makes one stream of random numbers per name.

The initial value of a parameter must depend only on its name, its whole shape and the seed. It must not
depend on the order in which layers are built, or on the number of ranks. Then every layout starts with the
same model. So each name has its own generator (Philox: Salmon et al. 2011, "Parallel random numbers: as easy
as 1, 2, 3"). The key of the generator is a hash of the name. A new Philox generator takes little time, and
generators with different keys are independent.
"""

import hashlib

import numpy as np


def stream(seed: int, *key: object) -> np.random.Generator:
    """Returns a generator that depends only on the seed and the key. Example: stream(0, "init",
    "blocks.0.mlp.up.weight").

    >>> one, same, other = (stream(0, "dropout", step).integers(10**9) for step in (3, 3, 4))
    >>> bool(one == same), bool(one == other)
    (True, False)
    """
    text = "\0".join(str(part) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
