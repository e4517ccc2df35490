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
because Podman leaves out what is not needed (unused stages, ARG before FROM) and both add steps of their own (--label, ONBUILD).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dockerlab.dockerfile import Dockerfile, stages
from dockerlab.wire.trace import Event, Log, Status, Vertex

_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?(?:Step|STEP) (?P<number>\d+)/(?P<total>\d+) ?: (?P<text>.*)", re.DOTALL)
_CACHED = re.compile(r" ?-{2,3}> Using cache\b.*\n?")
_RESULT = re.compile(r" ?-{2,3}> [0-9a-f]{11,64}\n?")
_NOISE = re.compile(
    r" ---> Running in [0-9a-f]+\n?|(?: ---> Removed|Removing) intermediate container [0-9a-f]+\n?|# Executing \d+ build triggers?\n?"
    r"|Successfully (?:built|tagged) .*\n?|(?:\[\d+/\d+\] )?COMMIT\b.*\n?|[0-9a-f]{64}\n?|Resolving .* \(enforced by caller\)\n?"
)
_STDERR = re.compile(r"\x1b\[91m(.*?)\x1b\[0m", re.DOTALL)


class Adapter:
    """Feeds on the messages of one build. After the last: `image_id` of the result, or `error` and `exit_code`."""

    def __init__(self, dockerfile: Dockerfile) -> None:
        self.image_id: str | None = None
        self.error: str | None = None
        self.exit_code: int | None = None
        self._texts = [_normal(node.text) for node in dockerfile.nodes]
        self._vertexes = [Vertex(str(i), name) for i, name in enumerate(names(dockerfile))]
        self._froms = [i for i, node in enumerate(dockerfile.nodes) if node.keyword == "FROM"]
        self._next = 0
        self._current: Vertex | None = None
        self._newline_follows = False
        self._is_podman = False

    def begin(self) -> Iterator[Event]:
        """Every instruction as a waiting vertex; its digest is its index among the Dockerfile's instructions."""
        yield from self._vertexes

    def feed(self, message: Mapping[str, Any], now: float) -> Iterator[Event]:
        """The events that a message stands for; now: seconds since the epoch."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            detail = detail if isinstance(detail, Mapping) else {}
            self.error = str(message.get("error") or detail.get("message") or "").strip()
            self.exit_code = _exit_code(self.error, detail)
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
        yield from self._complete(now)
        # Podman takes an ARG before the first FROM into account without a step of its own.
        for vertex in self._vertexes[: self._froms[0]] if self._is_podman else ():
            yield replace(vertex, started=now, completed=now)

    def _stream(self, text: str, now: float) -> Iterator[Event]:
        if text == "\n" and self._newline_follows:
            self._newline_follows = False
            return
        self._newline_follows = False
        if match := _STEP.fullmatch(text.rstrip("\n")):
            self._is_podman |= "STEP" in text.partition(":")[0]
            yield from self._complete(now)
            yield from self._start(match, now)
            self._newline_follows = not text.endswith("\n")
        elif self._current and _CACHED.fullmatch(text):
            self._current = replace(self._current, cached=True)
            yield self._current
        elif _RESULT.fullmatch(text) or _NOISE.fullmatch(text):
            self._newline_follows = text.startswith("# Executing")
        elif self._current:
            if _STDERR.search(text):
                yield Log(self._current.digest, "".join(_STDERR.findall(text)).encode(), 2, now)
            else:
                yield Log(self._current.digest, text.encode(), 1, now)

    def _start(self, header: re.Match[str], now: float) -> Iterator[Event]:
        text = " ".join(header["text"].split())
        index = self._index(text.lower(), header["stage"], int(header["number"]))
        if index is None:
            vertex = Vertex(f"{header['stage']} {header['number']} {text}", f"[{header['number']}/{header['total']}] {text}")
        else:
            vertex, self._next = self._vertexes[index], index + 1
        self._current = replace(vertex, started=now)
        yield self._current

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


def _normal(text: str) -> str:
    return " ".join(text.split()).lower()


def _exit_code(error: str, detail: Mapping[str, Any]) -> int | None:
    if isinstance(detail.get("code"), int):
        return int(detail["code"])
    match = re.search(r"(?:exit status|returned a non-zero code:?) (\d+)\s*$", error)
    return int(match[1]) if match else None


def names(dockerfile: Dockerfile) -> list[str]:
    """Names as BuildKit gives them: `[stage 2/6] RUN make`; the stage only where there are several."""
    found = stages(dockerfile)
    names = [" ".join(node.text.split()) for node in dockerfile.nodes]
    for stage in found:
        label = f"{stage.name or f'stage-{stage.index}'} " if len(found) > 1 else ""
        for position, index in enumerate(stage.nodes, start=1):
            names[index] = f"[{label}{position}/{len(stage.nodes)}] {names[index]}"
    return names
