"""What a health check is, and what its results make of a container's health. Pure.

A container is *starting* until a check succeeds or too many fail; then *healthy* or *unhealthy*. A failure within the start period counts
only once the container has been healthy. Same rules, defaults and texts as Docker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockerlab.engine import timestamps

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"

_SECOND = 1_000_000_000
_INTERVAL, _TIMEOUT, _START_INTERVAL = 30 * _SECOND, 30 * _SECOND, 5 * _SECOND
_RETRIES = 3
_KEPT_RESULTS = 5
LONGEST_OUTPUT = 4096
_SHELL = ("/bin/sh", "-c")
_UNITS = ((3600 * _SECOND, "h"), (60 * _SECOND, "m"))


@dataclass(frozen=True)
class Check:
    """argv: the command. Times in nanoseconds. start_period: how long a container may take until it is healthy."""

    argv: tuple[str, ...]
    interval: int = _INTERVAL
    timeout: int = _TIMEOUT
    start_period: int = 0
    start_interval: int = _START_INTERVAL
    retries: int = _RETRIES


@dataclass(frozen=True)
class Result:
    """One run of a check. exit_code: -1 where it did not end by itself. start, end: nanoseconds since 1970."""

    start: int
    end: int
    exit_code: int
    output: str = ""

    def to_json(self) -> dict[str, Any]:
        """An entry of State.Health.Log."""
        return {
            "Start": timestamps.text(self.start),
            "End": timestamps.text(self.end),
            "ExitCode": self.exit_code,
            "Output": self.output,
        }


def check_of(config: Mapping[str, Any]) -> Check | None:
    """The check in a container's Config; None where it has none, or one that means "none"."""
    asked = config.get("Healthcheck") or {}
    test = [str(word) for word in asked.get("Test") or ()]
    match test:
        case ["CMD", *words] if words:
            argv = tuple(words)
        case ["CMD-SHELL", *words] if words:
            argv = (*(config.get("Shell") or _SHELL), *words)
        case _:
            return None
    return Check(
        argv,
        interval=_duration(asked, "Interval", _INTERVAL),
        timeout=_duration(asked, "Timeout", _TIMEOUT),
        start_period=_duration(asked, "StartPeriod", 0),
        start_interval=_duration(asked, "StartInterval", _START_INTERVAL),
        retries=int(asked.get("Retries") or 0) or _RETRIES,
    )


def _duration(asked: Mapping[str, Any], key: str, default: int) -> int:
    return int(asked.get(key) or 0) or default


def starting(before: Mapping[str, Any] | None) -> dict[str, Any]:
    """State.Health of a container that has just been started. before: of its last run, whose results are kept."""
    return {"Status": STARTING, "FailingStreak": 0, "Log": list((before or {}).get("Log") or ())}


def judged(health: Mapping[str, Any], result: Result, check: Check, started_at: int) -> dict[str, Any]:
    """State.Health after one more result. started_at: when the container was started."""
    log = [*health["Log"], result.to_json()][-_KEPT_RESULTS:]
    status, streak = str(health["Status"]), int(health["FailingStreak"])
    if result.exit_code == 0:
        return {"Status": HEALTHY, "FailingStreak": 0, "Log": log}
    if status != STARTING or result.start - started_at >= check.start_period:
        streak += 1
        if streak >= check.retries:
            status = UNHEALTHY
    return {"Status": status, "FailingStreak": streak, "Log": log}


def pause_before(health: Mapping[str, Any], check: Check, running_for: int) -> int:
    """How long to wait for the next check, in nanoseconds. running_for: since the container's start."""
    if running_for < check.start_period and health["Status"] == STARTING:
        return check.start_interval
    return check.interval


def clipped(output: bytes) -> str:
    """As much of a check's output as is kept."""
    text = output[:LONGEST_OUTPUT].decode("utf-8", "replace")
    return f"{text}..." if len(output) > LONGEST_OUTPUT else text


def timed_out(check: Check, output: bytes) -> str:
    """What is shown as output of a check that took too long."""
    text = f"Health check exceeded timeout ({go_duration(check.timeout)})"
    return f"{text}: {clipped(output)}" if output else text


def go_duration(nanoseconds: int) -> str:
    """A duration as Go writes it: "500ms", "1m30s"."""
    if nanoseconds < _SECOND:
        for unit, name in ((1_000_000, "ms"), (1000, "µs")):
            if nanoseconds >= unit:
                return f"{nanoseconds / unit:.6f}".rstrip("0").rstrip(".") + name
        return f"{nanoseconds}ns" if nanoseconds else "0s"
    text, rest = "", nanoseconds
    for unit, name in _UNITS:
        if nanoseconds >= unit:
            text += f"{rest // unit}{name}"
            rest %= unit
    seconds = f"{rest // _SECOND}.{rest % _SECOND:09d}".rstrip("0").rstrip(".")
    return f"{text}{seconds}s"
