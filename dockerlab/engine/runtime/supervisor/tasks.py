"""How many tasks a container may have: a fork too many fails with EAGAIN, as the kernel's pids cgroup makes it fail.

What counts is what has a number: threads and processes that live, processes that have ended and that nobody has waited for (zombies), and
forks that were allowed and are not heard of yet. A fork is allowed before it is made, so that the count never lags behind.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection

from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.supervisor.answers import Answer, Handler, Through, error
from dockerlab.engine.runtime.supervisor.filters import FORKS
from dockerlab.engine.runtime.supervisor.members import Member, Members

_MOST = 4096  # where the plan has no limit: a container that forks without end stays one that can be stopped
_INTERVAL = 0.05  # seconds between two readings of /proc


class Tasks:
    """most: of them, 0 for as many as without a limit.

    forking: tasks whose fork was allowed, and whose event has not come. early: new tasks that stopped before their parent's event came.
    """

    def __init__(self, members: Members, most: int) -> None:
        self._members = members
        self._zombies: set[int] = set()
        self._read = 0.0  # when /proc was
        self.forking: set[int] = set()
        self.early: set[int] = set()
        self.limit(most)

    def __len__(self) -> int:
        # A task that stopped early is one of the forks that are under way, unless its parent was killed.
        return len(self._members) + len(self._zombies) + max(len(self.forking), len(self.early))

    def limit(self, most: int) -> None:
        """From now on. Those that are there stay."""
        self._most = most or _MOST

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        return dict.fromkeys(FORKS, self._fork)

    def ended(self, task: int) -> None:
        """A task was waited for by its tracer: for a process that is another one's child, its parent has still to do so. Comes before
        `Members.remove`."""
        self.early.discard(task)
        self.forking.discard(task)
        member = self._members.of(task)
        if member is not None and member.pid == task:
            self._zombies.add(task)
        else:
            self._zombies.discard(task)  # the second time: its parent has ended, too, and has left it to the supervisor

    def orphans(self) -> Collection[int]:
        """New tasks that nobody will hear of: their parent was killed between the fork and its event."""
        return [] if self.forking else list(self.early)

    def _fork(self, member: Member, task: int, arguments: tuple[int, ...]) -> Answer:
        if len(self) >= self._most:
            self._forget_waited_for()
            if len(self) >= self._most:
                raise error(errno.EAGAIN)
        self.forking.add(task)
        return Through.LET

    def _forget_waited_for(self) -> None:
        """A number that nobody has is asked for each time: who has waited for a child may fork at once. One that was given to somebody
        else takes a look into /proc, which is dear."""
        self._zombies = {pid for pid in self._zombies if _is_there(pid) and not self._members.contains(pid)}
        if len(self) >= self._most and time.monotonic() - self._read >= _INTERVAL:
            self._zombies = {pid for pid in self._zombies if _is_zombie(pid)}
            self._read = time.monotonic()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _is_zombie(pid: int) -> bool:
    try:
        return kernel.open_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
