"""Where the record of each id starts in a log, in about sixteen bytes for each, however long ids are.

An id is known by some bits of its hash alone, so a start that is found may be another id's: whoever asks reads the
record there and compares. Hashes are keyed anew in each process, so that no client can choose ids that share one.
"""

from array import array
from collections.abc import Hashable

_SHARDS, _SHARD_BITS = 256, 8
"""Open-addressing tables that grow apart, so that no append waits for all of them."""
_TAG_BITS = 24
_TAG = (1 << _TAG_BITS) - 1
"""Bits of the hash that stand beside a start; the last of them say where to look first. The other bits of a word hold
starts up to a terabyte."""
_SMALLEST = 16


class StartIndex:
    """Starts by id; one thread may add while others ask."""

    __slots__ = ("_counts", "_tables")

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * _SMALLEST)) for _ in range(_SHARDS)]
        """Words of a start and a tag; 0 is an empty slot."""
        self._counts = [0] * _SHARDS

    def add(self, id: Hashable, start: int) -> None:
        """Keep where the record of an id starts, which is not 0."""
        hashed = hash(id)
        shard = hashed & (_SHARDS - 1)
        self._counts[shard] += 1
        if 3 * self._counts[shard] > 2 * len(self._tables[shard]):
            self._tables[shard] = _doubled(self._tables[shard])
        _put(self._tables[shard], start << _TAG_BITS | hashed >> _SHARD_BITS & _TAG)

    def replace(self, id: Hashable, start: int) -> int:
        """Keep a start in place of the one before, which is returned; 0 if there was none, or none was kept."""
        hashed = hash(id)
        words, tag = self._tables[hashed & (_SHARDS - 1)], hashed >> _SHARD_BITS & _TAG
        last = len(words) - 1
        place = tag & last
        while word := words[place]:
            if word & _TAG == tag:
                words[place] = start << _TAG_BITS | tag
                return word >> _TAG_BITS
            place = (place + 1) & last
        self.add(id, start)
        return 0

    def starts(self, id: Hashable) -> list[int]:
        """Where the record may start: seldom more than one, none of most ids that were never added."""
        hashed = hash(id)
        words, tag = self._tables[hashed & (_SHARDS - 1)], hashed >> _SHARD_BITS & _TAG
        found, last = [], len(words) - 1
        place = tag & last
        while word := words[place]:
            if word & _TAG == tag:
                found.append(word >> _TAG_BITS)
            place = (place + 1) & last
        return found


def _doubled(words: "array[int]") -> "array[int]":
    """The same words in twice as many slots, made beside the old ones, which others may be reading."""
    doubled = array("Q", bytes(16 * len(words)))
    for word in filter(None, words):
        _put(doubled, word)
    return doubled


def _put(words: "array[int]", word: int) -> None:
    last = len(words) - 1
    place = word & _TAG & last
    while words[place]:
        place = (place + 1) & last
    words[place] = word
