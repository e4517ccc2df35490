"""The classic build stream → `dockerlab.wire.trace` events. Pure: messages in, events out.

Docker's classic builder and Podman (buildah) tell the same story in two dialects, seen on Docker Engine 20.10 and 28 and Podman 4.3:

    Docker                                       Podman
    Step 4/7 : RUN make                          STEP 3/6: RUN make       ([1/2] STEP … with several stages)
     ---> Using cache                            --> Using cache 45849bac…
     ---> Running in efe10305c614                (nothing)
     ---> ee3b0e8aaf93                           --> 45849bacf07
    {"aux": {"ID": "sha256:…"}}                  the same
    {"error": …, "errorDetail": {"code": 3}}     {"error": …}; "exit status 3" in its text

Every instruction is announced as a waiting vertex before the first message. A step's header is matched to the Dockerfile by its text,
because Podman leaves out what is not needed (unused stages, ARG before FROM) and both add steps of their own (--label).

What a base image says with ONBUILD comes after its FROM. Podman has a step for each, and counts them from then on (`STEP 1/2: FROM base`,
`STEP 2/6: RUN make`). Docker says how many there are, and of each that it is cached, or runs, or of COPY and ADD nothing: which one it is
can be told where the triggers are known beforehand; where they are not, what they print is FROM's.

    # Executing 2 build triggers
     ---> Using cache
     ---> Running in efe10305c614
     ---> ee3b0e8aaf93                         once, or after each: dockerlab's own engine
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dockerlab.builds.rows import ONBUILD, Row, StageRows, rows, waiting
from dockerlab.dockerfile import Dockerfile
from dockerlab.dockerfile.planning import Plan
from dockerlab.wire.trace import Event, Log, Status, Vertex

_STEP = re.compile(
    r"(?:\[(?P<stage>[0-9]{1,9})/\d+\] )?(?:Step|STEP) (?P<number>[0-9]{1,9})/(?P<total>[0-9]{1,9}) ?: (?P<text>.*)", re.DOTALL
)
_CACHED = re.compile(r" ?-{2,3}> Using cache\b.*\n?")
_RESULT = re.compile(r" ?-{2,3}> [0-9a-f]{11,64}\n?")
_RUNNING = re.compile(r" ---> Running in [0-9a-f]+\n?")
_TRIGGERS = re.compile(r"# Executing \d+ build triggers?(\.\.\.)?\n?")
_NOISE = re.compile(
    r" ---> Running in [0-9a-f]+\n?|(?: ---> Removed|Removing) intermediate container [0-9a-f]+\n?"
    r"|Successfully (?:built|tagged) .*\n?|(?:\[\d+/\d+\] )?COMMIT\b.*\n?|[0-9a-f]{64}\n?|Resolving .* \(enforced by caller\)\n?"
)
_QUIET = ("COPY", "ADD")
_MOST_TRIGGERS = 1000  # what a header may say of a number is no reason to make more rows
_STDERR = re.compile(r"\x1b\[91m(.*?)\x1b\[0m", re.DOTALL)


class Adapter:
    """Feeds on the messages of one build. After the last: `image_id` of the result, or `error` and `exit_code`. plan: as of `rows`."""

    def __init__(self, dockerfile: Dockerfile, plan: Plan | None = None) -> None:
        self.image_id: str | None = None
        self.error: str | None = None
        self.exit_code: int | None = None
        self._texts = [_normal(node.text) for node in dockerfile.nodes]
        stages = rows(dockerfile, plan)
        self._stages = {stage.source.digest: stage for stage in stages}
        self._all = waiting(dockerfile, stages)
        self._vertexes = [self._all[str(i)] for i in range(len(dockerfile.nodes))]
        # Triggers that are to come, and the number of steps when FROM was told.
        self._triggers: list[Row] = []
        self._stage: StageRows | None = None
        self._total = 0
        self._froms = [i for i, node in enumerate(dockerfile.nodes) if node.keyword == "FROM"]
        self._next = 0
        self._current: Vertex | None = None
        self._newline_follows = False
        self._is_podman = False

    def begin(self) -> Iterator[Event]:
        """Every row as a waiting vertex."""
        yield from self._all.values()

    def feed(self, message: Mapping[str, Any], now: float) -> Iterator[Event]:
        """The events that a message stands for; now: seconds since the epoch."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            detail = detail if isinstance(detail, Mapping) else {}
            self.error = str(message.get("error") or detail.get("message") or "").strip()
            self.exit_code = _exit_code(self.error, detail)
            if self._fails_silently():
                yield from self._begin(self._triggers[0].digest, now)
            yield from self._complete(now, error=self.error)
        elif isinstance(message.get("aux"), Mapping):
            self.image_id = message["aux"].get("ID", self.image_id)
        elif "status" in message:
            yield from self._status(message, now)
        elif isinstance(message.get("stream"), str):
            yield from self._stream(message["stream"], now)

    def end(self, now: float) -> Iterator[Event]:
        """What remains when the stream has ended well."""
        if self.error is not None:
            return
        yield from self._rest(now)
        yield from self._complete(now)
        # Podman takes an ARG before the first FROM into account without a step of its own.
        for vertex in self._vertexes[: self._froms[0]] if self._is_podman else ():
            yield replace(vertex, started=now, completed=now)

    def _stream(self, text: str, now: float) -> Iterator[Event]:
        if text in ("\n", "s", "s\n") and self._newline_follows:
            self._newline_follows = text == "s"
            return
        self._newline_follows = False
        if match := _STEP.fullmatch(text.rstrip("\n")):
            self._is_podman |= "STEP" in text.partition(":")[0]
            yield from self._rest(now)
            yield from self._start(match, now)
            self._newline_follows = not text.endswith("\n")
        elif _TRIGGERS.fullmatch(text) or (self._triggers and not self._is_podman and _silent(text)):
            yield from self._by_docker(text, now)
        elif self._current and _CACHED.fullmatch(text):
            self._current = replace(self._current, cached=True)
            yield self._current
        elif _RESULT.fullmatch(text) or _NOISE.fullmatch(text):
            return
        elif self._current:
            if _STDERR.search(text):
                yield Log(self._current.digest, "".join(_STDERR.findall(text)).encode(), 2, now)
            else:
                yield Log(self._current.digest, text.encode(), 1, now)

    def _start(self, header: re.Match[str], now: float) -> Iterator[Event]:
        text = " ".join(header["text"].split())
        if trigger := self._by_podman(int(header["total"])):
            yield from self._begin(trigger.digest, now, f"{ONBUILD}{text}", f"[{header['number']}/{header['total']}] ")
            return
        index = self._index(text.lower(), header["stage"], int(header["number"]))
        if index is None:
            digest = f"{header['stage']} {header['number']} {text}"
            yield from self._begin(digest, now, text, f"[{header['number']}/{header['total']}] ")
            return
        self._next = index + 1
        self._stage = self._stages.get(str(index))
        self._total = int(header["total"])
        yield from self._begin(str(index), now)

    def _begin(self, digest: str, now: float, text: str = "", place: str = "", *, cached: bool = False) -> Iterator[Event]:
        """What was at work is done, and this one is. text: of one that is not known yet."""
        yield from self._complete(now)
        vertex = self._all.setdefault(digest, Vertex(digest, f"{place}{text}"))
        self._current = replace(vertex, started=now, completed=now if cached else None, cached=cached)
        yield self._current

    # What the base image says with ONBUILD

    def _by_podman(self, total: int) -> Row | None:
        """The trigger that a step is: behind FROM there are as many as there are more steps than it said."""
        stage = self._stage
        if not self._is_podman or stage is None:
            return None
        if total > self._total and not self._triggers:
            for _ in range(min(total - self._total, _MOST_TRIGGERS) - len(stage.triggers)):
                stage.trigger("")
            self._triggers = stage.triggers[: total - self._total]
            self._total = total
        return self._triggers.pop(0) if self._triggers else None

    def _by_docker(self, text: str, now: float) -> Iterator[Event]:
        """The next of Docker's, which have no header."""
        if _TRIGGERS.fullmatch(text):
            self._newline_follows = not text.endswith("\n")
            self._triggers = [*self._stage.triggers] if self._stage else []
            if self._triggers:
                yield from self._complete(now)
            return
        if _RESULT.fullmatch(text) and self._current and (self._current.completed is None or self._current.cached):
            yield from self._complete(now)
            # One result is one trigger's.
            self._current = replace(self._current, cached=False)
            return
        if _RUNNING.fullmatch(text):
            while self._triggers and self._triggers[0].keyword in _QUIET:
                yield from self._next_trigger(now)
        if self._triggers:
            yield from self._next_trigger(now, cached=bool(_CACHED.fullmatch(text)))
            if _RESULT.fullmatch(text):
                yield from self._complete(now)

    def _next_trigger(self, now: float, *, cached: bool = False) -> Iterator[Event]:
        yield from self._begin(self._triggers.pop(0).digest, now, cached=cached)

    def _fails_silently(self) -> bool:
        """Whether it is the next trigger that failed, and not what is at work: no command, and nothing was said of it."""
        is_next = self._current is None or self._current.completed is not None
        is_next |= self.exit_code is None and bool(self._triggers) and self._triggers[0].keyword in _QUIET
        return is_next and bool(self._triggers) and not self._is_podman

    def _rest(self, now: float) -> Iterator[Event]:
        """Triggers that were done without a word, once something else begins."""
        while self._triggers and not self._is_podman:
            yield from self._next_trigger(now)
        yield from self._complete(now)

    def _index(self, text: str, stage: str | None, number: int) -> int | None:
        """Which of the Dockerfile's instructions a step is. Podman expands the variables of a FROM, but says its stage.

        An engine that leaves out stages numbers the others as if it had not: then the number tells two lines with one text apart.
        """
        following = range(self._next, len(self._texts))
        if not self._is_podman and number - 1 in following and self._texts[number - 1] == text:
            return number - 1
        if not text.startswith("from "):
            return next((i for i in following if self._texts[i] == text), None)
        if stage:
            return self._froms[int(stage) - 1] if int(stage) <= len(self._froms) else None
        return next((i for i in self._froms if i in following), None)

    def _complete(self, now: float, error: str = "") -> Iterator[Event]:
        if self._current and self._current.completed is None:
            self._current = replace(self._current, completed=now, error=error)
            yield self._current

    def _status(self, message: Mapping[str, Any], now: float) -> Iterator[Event]:
        identifier, said = message.get("id"), str(message["status"])
        if not self._current:
            return
        if not identifier:
            yield Log(self._current.digest, f"{said}\n".encode(), 1, now)
            return
        detail = message.get("progressDetail") or {}
        done = said in ("Pull complete", "Already exists")
        current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
        yield Status(str(identifier), self._current.digest, said, current, total, now, now if done else None)


def _silent(text: str) -> bool:
    """Whether a line says of a trigger that it is cached, runs, or is done."""
    return bool(_CACHED.fullmatch(text) or _RUNNING.fullmatch(text) or _RESULT.fullmatch(text))


def _normal(text: str) -> str:
    return " ".join(text.split()).lower()


def _exit_code(error: str, detail: Mapping[str, Any]) -> int | None:
    if isinstance(detail.get("code"), int):
        return int(detail["code"])
    match = re.search(r"(?:exit status|returned a non-zero code:?) ([0-9]{1,9})\s*$", error)
    return int(match[1]) if match else None
