"""Makes one stream of random numbers per name.

The initial value of a parameter must depend only on its name, its whole shape and the seed. It must not
depend on the order in which layers are built, or on the number of ranks. Then every layout starts with the
same model. So each name has its own generator (Philox: Salmon et al. 2011, "Parallel random numbers: as easy
as 1, 2, 3"). The key of the generator is a hash of the name. A new Philox generator takes little time, and
generators with different keys are independent.
"""

import hashlib

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class PhiloxKey(ISeedSequence):
    """A key of 128 bits for a Philox generator.

    np.random.Philox(key=...) gives the same numbers and takes four times as long: it also asks the system for
    random bits, which it does not use.
    """

    def __init__(self, digest: bytes) -> None:
        self.digest = digest

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> np.ndarray:
        """Returns the key as two integers of 64 bits, the low bits first. Philox calls this method."""
        return np.frombuffer(self.digest, "<u8").astype(np.uint64)


def stream(seed: int, *key: object) -> np.random.Generator:
    """Returns a generator that depends only on the seed and the key. Example: stream(0, "init",
    "blocks.0.mlp.up.weight").

    >>> one, same, other = (stream(0, "dropout", step).integers(10**9) for step in (3, 3, 4))
    >>> bool(one == same), bool(one == other)
    (True, False)
    """
    text = "\0".join(str(part) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    # NumPy's stubs leave ISeedSequence out
    return np.random.Generator(np.random.Philox(PhiloxKey(digest)))     # type: ignore[arg-type]
