"""MPI.Group: an ordered set of ranks, with set operations. The members are ranks of the world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minipar.mpi4py_face.constants import IDENT, PROC_NULL, SIMILAR, UNDEFINED, UNEQUAL
from minipar.mpi4py_face.current import current
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.whole_numbers import whole

Range = tuple[int, int, int]


class Group(NoHandle):
    """An ordered set of ranks. Group() is GROUP_NULL."""

    def __new__(cls, group: Group | None = None) -> Group:
        new = super().__new__(cls)
        new.members = None if group is None else group.members
        return new

    members: tuple[int, ...] | None

    @classmethod
    def of(cls, members: Iterable[int]) -> Group:
        new = Group()
        new.members = tuple(members)
        return new

    def _members(self) -> tuple[int, ...]:
        if self.members is None:
            raise wrong("ERR_GROUP", "the group is GROUP_NULL")
        return self.members

    def Get_size(self) -> int:
        return len(self._members())

    def Get_rank(self) -> int:
        """Returns the rank of this process in the group, or UNDEFINED if the process is not a member."""
        me = current().comm.rank
        return self._members().index(me) if me in self._members() else UNDEFINED

    size, rank = property(Get_size), property(Get_rank)

    def Translate_ranks(self, ranks: Sequence[int] | None = None, group: Group | None = None) -> list[int]:
        """Translates ranks of this group to ranks of `group`. A process that is not a member of `group` gets
        UNDEFINED. By default, `ranks` are all ranks of this group, and `group` is the world.
        """
        other = Group.of(range(current().comm.size)) if group is None else group
        chosen = range(self.Get_size()) if ranks is None else ranks
        return [PROC_NULL if rank == PROC_NULL else
                (other._members().index(self._member(rank)) if self._member(rank) in other._members()
                 else UNDEFINED)
                for rank in chosen]

    def _member(self, rank: int) -> int:
        if not 0 <= rank < self.Get_size():
            raise wrong("ERR_RANK", f"rank {rank} is not in the group, which has {self.Get_size()} members")
        return self._members()[rank]

    def Compare(self, group: Group) -> int:
        if self._members() == group._members():
            return IDENT
        return SIMILAR if set(self._members()) == set(group._members()) else UNEQUAL

    def Dup(self) -> Group:
        return Group.of(self._members())

    @classmethod
    def Union(cls, one: Group, other: Group) -> Group:
        return Group.of([*one._members(), *(each for each in other._members() if each not in one._members())])

    @classmethod
    def Intersection(cls, one: Group, other: Group) -> Group:
        return Group.of(each for each in one._members() if each in other._members())

    Intersect = Intersection

    @classmethod
    def Difference(cls, one: Group, other: Group) -> Group:
        return Group.of(each for each in one._members() if each not in other._members())

    def Incl(self, ranks: Sequence[int]) -> Group:
        chosen = [whole(rank, "rank") for rank in ranks]
        if len(set(chosen)) != len(chosen):
            raise wrong("ERR_RANK", f"{chosen} names a rank twice")
        return Group.of(self._member(rank) for rank in chosen)

    def Excl(self, ranks: Sequence[int]) -> Group:
        out = {self._member(whole(rank, "rank")) for rank in ranks}
        return Group.of(each for each in self._members() if each not in out)

    def Range_incl(self, ranks: Sequence[Range]) -> Group:
        return self.Incl(spelled_out(ranks))

    def Range_excl(self, ranks: Sequence[Range]) -> Group:
        return self.Excl(spelled_out(ranks))

    def Free(self) -> None:
        self._members()
        if self is GROUP_EMPTY:
            raise wrong("ERR_GROUP", "GROUP_EMPTY is predefined and cannot be freed")
        self.members = None

    def free(self) -> None:
        if self.members is not None and self is not GROUP_EMPTY:
            self.Free()

    def __bool__(self) -> bool:
        return self.members is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group):
            return NotImplemented
        return self is other or (self.members == other.members and not self.members)

    def __hash__(self) -> int:
        return hash(self.members) if not self.members else id(self)

    def __reduce__(self) -> Any:
        for name, group in PREDEFINED_GROUPS.items():
            if self is group or self == group:
                return (predefined_group if self is group else copied_group), (name,)
        raise ValueError("a group cannot be pickled; send the ranks, and call Incl on the receiver")


def spelled_out(ranges: Sequence[Range]) -> list[int]:
    """Returns the ranks of ranges (first, last, stride). As in MPI, a range includes its last rank."""
    numbers = ([whole(number, "range") for number in each] for each in ranges)
    return [rank for first, last, stride in numbers
            for rank in range(first, last + (1 if stride > 0 else -1), stride)]


def predefined_group(name: str) -> Group:
    return PREDEFINED_GROUPS[name]


def copied_group(name: str) -> Group:
    return Group(PREDEFINED_GROUPS[name])


GROUP_NULL, GROUP_EMPTY = Group(), Group.of(())
PREDEFINED_GROUPS = {"GROUP_NULL": GROUP_NULL, "GROUP_EMPTY": GROUP_EMPTY}
