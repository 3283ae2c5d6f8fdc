"""Chooses the order in which receives from any source take messages.

By default, a receive or probe from any source takes the message that arrives first. In another run, another
message may arrive first. With an `ArrivalOrder`, such a receive waits until all ranks that could send to it
are blocked. Then all messages that can match have been sent. So the choice between them depends only on the
rule. If runs with different seeds give different results, the program has a race. Runs with the same seed
choose the same messages. Vakkalanka, Gopalakrishnan, Kirby 2008 call this method delayed matching: "Dynamic
verification of MPI programs with reductions in presence of split operations and relaxed orderings".
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from minipar.comm.protocol import ANY, Request
from minipar.comm.threads.messages import Letter, Mailbox, asks_for
from minipar.errors import ConfigError

if TYPE_CHECKING:
    from minipar.comm.threads.world import World


class ArrivalOrder:
    """A rule for the choice of a message. "first" takes the message of the lowest rank. "seed=N" or "seed N"
    takes a random one.

    Raises ConfigError for any other rule.
    """

    def __init__(self, rule: str) -> None:
        seed = re.fullmatch(r"seed[ =](\d+)", rule)
        if rule != "first" and seed is None:
            raise ConfigError(f"the order of arrival cannot be {rule!r}; use first, or seed=N with a number")
        self.random = None if seed is None else random.Random(int(seed[1]))

    def choose(self, letters: Iterable[Letter]) -> Letter | None:
        """Choose one of the messages. Only the first message of each sender is a candidate. Returns None if
        there is no message.
        """
        firsts: dict[int, Letter] = {}
        for letter in letters:
            firsts.setdefault(letter.envelope.source, letter)
        candidates = [firsts[source] for source in sorted(firsts)]
        if not candidates:
            return None
        return candidates[0] if self.random is None else self.random.choice(candidates)


def is_held(request: Request) -> bool:
    """Returns whether the order applies to this request, because the request accepts any source."""
    return request.peer == ANY


def held_before(mailbox: Mailbox, letter: Letter) -> bool:
    """Returns whether a waiting receive from any source could take this message."""
    return any(is_held(request) and request.kind == "recv" and asks_for(request, letter.envelope)
               for _, request in mailbox.wanted)


def release_one(world: World, ranks: set[int]) -> bool:
    """Give a message to one of the waiting receives and probes from any source. `world.order` chooses the
    message.

    ranks: the ranks that cannot continue without a message. Returns whether a receive or a probe got a
    message. The caller holds the world's lock.
    """
    assert world.order is not None
    held = [(request.handle.owner, mailbox, comm, request) for mailbox in world.mailboxes.values()
            for comm, request in mailbox.wanted if is_held(request) and request.handle.owner in ranks]
    for _, mailbox, comm, request in sorted(held, key=lambda entry: entry[0]):
        letter = world.order.choose(each for each in mailbox.letters if asks_for(request, each.envelope))
        if letter is None:
            continue
        mailbox.wanted.remove((comm, request))
        if request.kind == "probe":
            request.came = letter.envelope
            world.finish(request)
            return True
        mailbox.letters.remove(letter)
        world.hand_over(comm, request, letter)
        letters, mailbox.letters = mailbox.letters, []
        for other in letters:  # another request may now take this message
            world.post(mailbox, other)
        return True
    return False
