"""Which container has which address of 127.0.0.0/8: never two the same.

Each network is a 16-bit block, 127.18 for `bridge` and those above for user networks. Its first address stands for the host (the
gateway); containers get the lowest free one from the second on. One that was just given back rests for a while: a server that binds a
port there again would meet the connections that its predecessor left in TIME_WAIT.

Several engines may share this machine's loopback, one a user, so that an address is claimed while it is in use (`runtime.claims`).
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from dockerlab.engine.runtime import claims

BRIDGE = 18
_LAST_BLOCK = 254
_REST = 65.0  # seconds; TIME_WAIT is 60


class Closeable(Protocol):
    """What holds a claim."""

    def close(self) -> None:
        """Gives it up."""


Claim = Callable[[str], Closeable | None]


def subnet(block: int) -> str:
    """The block's addresses, as CIDR."""
    return f"127.{block}.0.0/16"


def gateway(block: int) -> str:
    """The address that stands for the host."""
    return f"127.{block}.0.1"


def free_block(taken: set[int]) -> int | None:
    """The lowest block for a user network."""
    return next((block for block in range(BRIDGE + 1, _LAST_BLOCK + 1) if block not in taken), None)


class _Block:
    """A block's addresses, by number. kept: in use before this engine began. fresh: never given by it. free: a heap.
    resting: (until when, number), the longest first."""

    def __init__(self) -> None:
        self.kept: set[int] = set()
        # Those that end so look like a network's own and its broadcast address.
        self.fresh = (number for number in range(2, 1 << 16) if number & 0xFF not in (0, 255) and number not in self.kept)
        self.free: list[int] = []
        self.resting: deque[tuple[float, int]] = deque()

    def next(self, now: float) -> int | None:
        """The lowest that is free; where all have been given, the one that has rested longest."""
        while self.resting and self.resting[0][0] <= now:
            heappush(self.free, self.resting.popleft()[1])
        number = heappop(self.free) if self.free else next(self.fresh, None)
        return self.resting.popleft()[1] if number is None and self.resting else number


class Addresses:
    """The addresses in use. Not locked: `Networks` is."""

    def __init__(self, claim: Claim = claims.for_engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._claim, self._clock = claim, clock
        self._used: dict[str, Closeable | None] = {}
        self._blocks: defaultdict[int, _Block] = defaultdict(_Block)

    def take(self, block: int) -> str | None:
        """The lowest address of a block that nobody has; None where there is none."""
        now, free = self._clock(), self._blocks[block]
        for _ in range(1 << 16):
            number = free.next(now)
            if number is None:
                return None
            address = f"127.{block}.{number >> 8}.{number & 0xFF}"
            if address in self._used:
                continue  # it is free when it is given back
            if (held := self._claim(address)) is not None:
                self._used[address] = held
                return address
            free.resting.append((now + _REST, number))  # another engine's
        return None

    def keep(self, address: str) -> None:
        """Marks an address that a container has already, from before this engine started."""
        if address not in self._used:
            self._used[address] = self._claim(address)
            block, number = _place(address)
            self._blocks[block].kept.add(number)

    def give_back(self, address: str) -> None:
        """Frees an address; one that is not in use is left alone."""
        if address in self._used:
            held = self._used.pop(address)
            if held is not None:
                held.close()
            block, number = _place(address)
            self._blocks[block].resting.append((self._clock() + _REST, number))

    def close(self) -> None:
        """Gives up all claims."""
        for held in self._used.values():
            if held is not None:
                held.close()
        self._used.clear()


def _place(address: str) -> tuple[int, int]:
    """An address's block, and its number there."""
    _, block, high, low = map(int, address.split("."))
    return block, high << 8 | low
