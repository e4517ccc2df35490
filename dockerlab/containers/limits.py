"""`limits`: what a container may use at most: as it was asked for, as it is to be read inside, and whether the engine keeps it.

A limit is kept by the kernel, by a control group. What that allows stands in files that a container may see, of the older form of control
groups or of the newer; an engine may show none of them. Whether it can set limits at all an engine says itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers.container import Which, get
from dockerlab.containers.execution import exec
from dockerlab.errors import CommandError
from dockerlab.faces import human, markup
from dockerlab.faces.container import Facts
from dockerlab.faces.shown import Shown

_GROUPS = "/sys/fs/cgroup"
# Of each form the newer first. A command prints what is there, and one line for what is not.
_READING = f"""
cat {_GROUPS}/memory.max 2>/dev/null || cat {_GROUPS}/memory/memory.limit_in_bytes 2>/dev/null || echo unknown
cat {_GROUPS}/cpu.max 2>/dev/null || echo $(cat {_GROUPS}/cpu/cpu.cfs_quota_us {_GROUPS}/cpu/cpu.cfs_period_us 2>/dev/null)
"""
_UNLIMITED = 1 << 60  # bytes; the older form says no limit with a number that no machine reaches
_MIB = 1 << 20
_PAGE = 1 << 16  # bytes; a kernel keeps memory by the page, and no kernel's is larger
_SHARE = 1e-4  # of a CPU; quotas are whole microseconds
_LONGEST = 1000  # bytes of what a command in the container says
_SECONDS = 15.0  # a container's `sh` may be anything, and never end


@dataclass(frozen=True)
class Limit:
    """asked: when the container was made. inside: as it is read there; None where that is not to be seen. In bytes, or in CPUs; 0 is none.

    is_kept: whether the engine says that it can keep such a limit. told: what else it says about that.
    """

    asked: float
    inside: float | None
    is_kept: bool
    told: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the engine's claim goes with what is read inside: a limit that is kept is seen there, or nothing is seen at all."""
        if self.inside is None or not self.is_kept or not self.asked:
            return True
        # Both are rounded down: bytes to whole pages, CPUs to whole microseconds of a period. Less than a page no engine takes.
        return bool(self.inside) and abs(self.asked - self.inside) < (_PAGE if self.asked >= _PAGE else _SHARE)


@dataclass(frozen=True, repr=False)
class Limits(Shown):
    """What a container may use at most. memory: in bytes. cpus: in processors."""

    facts: Facts
    memory: Limit
    cpus: Limit

    @property
    def agree(self) -> bool:
        """Whether what the engine claims is what is read in the container."""
        return self.memory.agrees and self.cpus.agrees

    def _text(self) -> str:
        return f"limits of container {self.facts.label}"

    @property
    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [("memory", *_words(self.memory, _memory)), ("CPUs", *_words(self.cpus, _cpus))]

    def _table(self) -> str:
        rows = [(*row[:3], " · ".join(filter(None, row[3:]))) for row in self._rows]
        return "\n".join([self._text(), markup.columns([("", "asked for", "read inside", "this engine"), *rows])])

    def _html(self) -> str:
        rows = []
        for limit, (name, asked, inside, keeps, told) in zip((self.memory, self.cpus), self._rows, strict=True):
            word = markup.state("done" if limit.is_kept else "stopped", keeps)
            more = f' <span class="muted">{markup.text(told)}</span>' if told else ""
            rows.append((markup.text(name), *map(markup.text, (asked, inside)), word + more))
        shown = markup.table(("", "asked for", "read inside", "this engine"), rows, wrap=(3,))
        return markup.page(markup.head(markup.text(self._text())), markup.volatile(shown))


def limits(container: Which, *, client: Client | None = None) -> Limits:
    """The limits of a container that runs. What it may see of them is read by a command in it; nothing is to be seen without `sh`.

    Raises NotFound; Conflict for one that does not run; NotReady where its `sh` does not end.
    """
    client = client or connect()
    found = get(container, client=client)
    with engine_errors("ask the engine which limits it keeps"):
        info: dict[str, Any] = client.info()
    host = found.attrs.get("HostConfig") or {}
    memory, cpus = _inside(found, client)
    warnings = [human.plain(str(line)).removeprefix("WARNING: ") for line in info.get("Warnings") or ()]
    asked = (host.get("NanoCpus") or 0) / 1e9 or _share(host.get("CpuQuota") or 0, host.get("CpuPeriod") or 0)
    return Limits(
        found.facts,
        _limit(host.get("Memory") or 0, memory, bool(info.get("MemoryLimit")), warnings, "memory limit"),
        _limit(asked, cpus, bool(info.get("CpuCfsQuota")), warnings, "cpu"),
    )


def _limit(asked: float, inside: float | None, is_kept: bool, warnings: Sequence[str], about: str) -> Limit:
    told = "" if is_kept else next((line for line in warnings if about in line.lower()), "")
    return Limit(asked, inside, is_kept, told)


def _inside(container: Which, client: Client) -> tuple[float | None, float | None]:
    """Memory and CPUs as the container may read them."""
    said = bytearray()

    def gather(_: int, data: bytes) -> None:
        said.extend(data[: _LONGEST - len(said)])

    try:
        exec(container, ["sh", "-c", _READING], seconds=_SECONDS, output=gather, client=client)
    except CommandError:  # an image without a shell
        return None, None
    if len(said) == _LONGEST:  # no numbers of a kernel
        return None, None
    memory, _, cpus = said.decode("utf-8", "replace").strip().partition("\n")
    return read_memory(memory), read_cpus(cpus)


def read_memory(line: str) -> int | None:
    """Bytes from `67108864` or `max`; 0 for no limit, None for what is neither."""
    if line.strip() == "max":
        return 0
    return None if not line.strip().isdecimal() else 0 if int(line) >= _UNLIMITED else int(line)


def read_cpus(line: str) -> float | None:
    """CPUs from `50000 100000` or `max 100000`; 0 for no limit, None for what is neither."""
    quota, _, period = line.strip().partition(" ")
    if quota in ("max", "-1"):
        return 0.0
    return _share(int(quota), int(period)) if quota.isdecimal() and period.isdecimal() else None


def _share(quota: int, period: int) -> float:
    return quota / period if quota > 0 and period > 0 else 0.0


def _memory(count: float) -> str:
    return f"{count / _MIB:,.0f} MiB"


def _cpus(count: float) -> str:
    return f"{count:g}"


def _words(limit: Limit, shown: Any) -> tuple[str, str, str, str]:
    asked = shown(limit.asked) if limit.asked else "no limit"
    inside = "not to be seen" if limit.inside is None else shown(limit.inside) if limit.inside else "no limit"
    if limit.inside and not limit.is_kept:
        inside += ", of all that the engine runs in"
    return asked, inside, "keeps it" if limit.is_kept else "cannot keep it", limit.told
