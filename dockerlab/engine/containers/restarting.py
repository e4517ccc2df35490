"""Restart policies: whether a container that ended is started again, and after how long. Pure; numbers are Docker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_DELAY, LONGEST_DELAY = 0.1, 60.0
_STEADY = 10.0  # seconds; who ran for so long starts with the first delay again


def restarts(policy: Mapping[str, Any], exit_code: int, count: int, *, manually_stopped: bool) -> bool:
    """Whether a container with this policy is to be started again. count: how often it already was.

    What a client stopped stays stopped, also when the engine starts anew: it ends and starts by itself, which nobody takes for a reboot.
    """
    if manually_stopped:
        return False
    match policy.get("Name"):
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            most = policy.get("MaximumRetryCount") or 0
            return exit_code != 0 and (not most or count < most)
    return False


def next_delay(last: float, ran: float) -> float:
    """Seconds until the next start. last: before this run, 0 for none. ran: seconds that it ran."""
    if ran >= _STEADY or not last:
        return FIRST_DELAY
    return min(last * 2, LONGEST_DELAY)
