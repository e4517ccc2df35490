"""One build, driven: which of an engine's builders runs it, messages → events → record, reports while it runs, and what went wrong.

BuildKit, with a session, wherever the engine has it (Docker Engine, dockerlab's own); else the classic builder, with the context as a
tar (Podman; or DOCKER_BUILDKIT=0 asks for it, as with `docker build`). The record says which, and why. BuildKit is asked by `POST /build`,
and only for what that does not pass on by its own API (`dockerlab.builds.solving`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final, Protocol

from dockerlab import embedded, ledger
from dockerlab.builds import buildkit, caching, classic, linting, rows, solving
from dockerlab.builds.bases import Bases
from dockerlab.builds.caching import CacheTo
from dockerlab.builds.context import DOCKERFILE, Context
from dockerlab.builds.contexts import Contexts
from dockerlab.builds.credentials import Credentials
from dockerlab.builds.diagnosis import diagnose, refuse_heredocs
from dockerlab.builds.exporting import Exporter, Output
from dockerlab.builds.masking import Mask
from dockerlab.builds.record import Build, Trace
from dockerlab.builds.remembering import Remembering
from dockerlab.builds.secrets import Secrets
from dockerlab.builds.sending import CONTEXT, IGNORE, Sender
from dockerlab.builds.sending import DOCKERFILE as DOCKERFILE_FOLDER
from dockerlab.builds.session import Session, unavailable
from dockerlab.builds.ssh import Agents
from dockerlab.builds.tally import Tally
from dockerlab.builds.walking import Walk
from dockerlab.client import Client, engine_errors, gone, is_page
from dockerlab.dockerfile import Dockerfile
from dockerlab.dockerfile.planning import Plan
from dockerlab.dockerfile.program import program
from dockerlab.errors import BuildError, DockerfileError, EngineError, EngineGone, UsageError
from dockerlab.stream import streaming
from dockerlab.wire.services import FILE_SYNC
from dockerlab.wire.trace import Event

BUILDKIT: Final = "buildkit"
CLASSIC: Final = "classic"

_TICK: Final = 0.1  # seconds between two reports: at most ten a second
_DOING: Final = "build the image"
_ASKED: Final = "DOCKER_BUILDKIT=0 asks for the classic builder"
_HAS: Final = "the engine has BuildKit"
_NO_API: Final = "this engine does not have it"
_API_REFUSED: Final = "the engine, or a proxy before it, refuses it"
_NO_SESSION: Final = re.compile(r"\bEOF\b|Unavailable|Canceled|session|transport|connection|broken pipe", re.IGNORECASE)
_ADDRESS: Final = re.compile(r" for https?(?:\+docker)?://\S+(?=:)")  # of the request, where the engine itself says nothing
_OFF: Final = ("0", "false", "no")


@dataclass(frozen=True)
class Asked:
    """What is to be built. tags: familiar. args: None for one whose value is the Dockerfile's. ignore: of a `.dockerignore` of its own."""

    dockerfile: Dockerfile
    text: str
    context: Context
    tags: tuple[str, ...] = ()
    args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    platform: str = ""
    no_cache_filter: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[CacheTo, ...] = ()
    contexts: Contexts = field(default_factory=Contexts)
    secrets: Secrets = field(default_factory=lambda: Secrets({}))
    agents: Agents = field(default_factory=lambda: Agents({}))
    output: Output = field(default_factory=Output)
    ignore: bytes | None = None

    def parameters(self) -> dict[str, Any]:
        """Of `POST /build`, for both builders."""
        found = {
            "dockerfile": DOCKERFILE,
            "t": list(self.tags),
            "buildargs": json.dumps(dict(self.args)) if self.args else "",
            "labels": json.dumps(dict(self.labels)) if self.labels else "",
            "target": self.target,
            "nocache": self.no_cache,
            "pull": self.pull,
            "platform": self.platform,
            "cachefrom": json.dumps(self.cache_from) if self.cache_from else "",
            "rm": True,
            "forcerm": True,
        }
        return {name: value for name, value in found.items() if value}


class Adapter(Protocol):
    """A builder's messages as events; see `classic` and `buildkit`."""

    image_id: str | None
    error: str | None
    exit_code: int | None

    def begin(self) -> Iterator[Event]: ...

    def feed(self, message: Mapping[str, Any], now: float) -> Iterator[Event]: ...

    def end(self, now: float) -> Iterator[Event]: ...


@dataclass
class _Way:
    """How a build is sent. request: of `POST /build`, besides its parameters. solve: what is done in its place; takes a tick.

    failed: what went wrong on our side, to be raised first. problems: with credentials. mask: hides the secrets that were handed out.
    plan: of the stages, as far as our parser understands them.
    """

    builder: str
    reason: str
    adapter: Adapter
    parameters: Mapping[str, Any]
    request: Mapping[str, Any]
    tally: Tally
    failed: Callable[[str], Exception | None] = lambda said: None
    problems: Callable[[], tuple[str, ...]] = tuple
    mask: Mask = field(default_factory=Mask)
    solve: Callable[[float], Iterator[dict[str, Any] | None]] | None = None
    plan: Plan | None = None


def run(client: Client, asked: Asked, progress: Callable[[Build], object], *, remember: bool = True) -> Build:
    """Builds. remember: whether it is what the next build is compared with.

    Raises BuildError, ContextError, UsageError, EngineError, EngineGone; an interrupt stops the build in the engine.
    """
    bases = Bases(client)
    with _way(client, asked, bases) as way:
        remembering = Remembering(client, asked, _key(asked.context), bases) if remember else None
        return _driven(client, asked, way, progress, remembering)


@contextmanager
def _way(client: Client, asked: Asked, bases: Bases) -> Iterator[_Way]:
    """The builder that is asked, with all that it needs while it builds."""
    if os.environ.get("DOCKER_BUILDKIT", "").strip().lower() in _OFF:
        yield _classic(client, asked, bases, _ASKED)
        return
    folders = asked.contexts.folders()
    tally, mask, name = Tally(named=folders.values()), Mask(), solving.NAME
    for secret in asked.contexts.secrets():
        mask.add(secret)
    alone = {name: asked.text.encode(), **({f"{name}{IGNORE}": asked.ignore} if asked.ignore is not None else {})}
    walks = {**asked.contexts.walks(), CONTEXT: asked.context.walk(), DOCKERFILE_FOLDER: Walk(None, alone)}
    sender = Sender(walks, {CONTEXT: tally, **{place: tally.named[one] for place, one in folders.items()}})
    credentials, exporter = Credentials.found(os.environ), Exporter(asked.output)
    services = {**credentials.services, **asked.secrets.services(mask.add), **asked.agents.services, **exporter.services}
    session = Session(client, {FILE_SYNC: sender.begin, **services}, name=_name(asked.context), key=_key(asked.context))
    with ExitStack() as stack:
        try:
            stack.enter_context(session)
        except EngineError as error:
            if not (reason := unavailable(error)):
                raise
            way = _classic(client, asked, bases, reason)
        else:
            parameters = {
                "dockerfile": name,
                "version": "2",
                "remote": "client-session",
                "session": session.id,
                "buildid": secrets.token_hex(16),
            }
            if asked.output.parameter:
                parameters["outputs"] = asked.output.parameter
            plan = _plan(asked, bases)
            adapter = buildkit.Adapter(asked.dockerfile, plan)
            way = _Way(
                BUILDKIT,
                _HAS,
                adapter,
                parameters,
                {},
                tally,
                lambda said: (
                    sender.error
                    or sender.refusal(said)
                    or exporter.error
                    or asked.output.refusal(said)
                    or asked.contexts.refusal(said)
                    or caching.refusal(said)
                    or _lost(session, said)
                ),
                lambda: credentials.problems,
                mask,
                _solve(client, asked, session, stack),
                plan,
            )
        yield way


def _solve(
    client: Client, asked: Asked, session: Session, stack: ExitStack
) -> Callable[[float], Iterator[dict[str, Any] | None]] | None:
    """What builds by BuildKit's own API, where that is needed. Raises UsageError where the engine has none."""
    wanted = solving.wanted(asked)
    if not wanted:
        return None
    try:
        opened = stack.enter_context(solving.Solving(client))
    except EngineError as error:
        if not unavailable(error):
            raise
        reason = _NO_API if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED) else _API_REFUSED
        raise solving.lacking(wanted[0], reason) from error
    return lambda tick: opened.messages(solving.request(asked, session.id), tick)


def _lost(session: Session, said: str) -> EngineGone | None:
    """What a build fails of whose session has ended; None where it failed of something else."""
    if not session.is_lost or not _NO_SESSION.search(said):
        return None
    hint = "Is the engine still running? `%engine` asks it. If it is: build again."
    return EngineGone(
        "the build's session with the engine broke off",
        evidence=[f"the engine says: {line}" for line in said.splitlines()[:1]],
        hint=hint,
    )


def _classic(client: Client, asked: Asked, bases: Bases, reason: str) -> _Way:
    _check_classic(asked, reason)
    if any(node.heredocs for node in asked.dockerfile.nodes):
        with engine_errors("ask the engine what it is"):
            is_own = embedded.is_own(client.version())
        if not is_own:
            refuse_heredocs(asked.dockerfile)
    headers = {"Content-Type": "application/x-tar"}
    api: Any = client.api
    api._set_auth_headers(headers)
    tally = Tally()
    found = [*asked.context.found()]
    tally.told(found)
    request = {"headers": headers, "data": asked.context.tar(asked.text, tally)}
    plan = _plan(asked, bases)
    return _Way(CLASSIC, reason, classic.Adapter(asked.dockerfile, plan), {}, request, tally, plan=plan)


def _check_classic(asked: Asked, reason: str) -> None:
    """Raises UsageError for what only BuildKit can do."""
    wants = {"--secret": asked.secrets, "--ssh": asked.agents, "--output": asked.output.parameter}
    for flag, value in wants.items():
        if value:
            hint = "Leave the flag out, or use an engine with BuildKit: Docker Engine, or dockerlab's own (`%engine use embedded`)."
            raise UsageError(f"{flag} needs BuildKit: {reason}", hint=hint)
    for flag in solving.wanted(asked):
        raise solving.lacking(flag, reason)


def _name(context: Context) -> str:
    return context.directory.name if context.directory else "notebook"


def _key(context: Context) -> str:
    """The same for a folder on this machine from one build to the next; nothing of it can be read out of it."""
    place = str(context.directory.resolve()) if context.directory else f"{os.getcwd()} (cells)"
    return hashlib.sha256(f"{socket.gethostname()}\0{place}".encode("utf-8", "surrogateescape")).hexdigest()


def _plan(asked: Asked, bases: Bases) -> Plan | None:
    """The stages that the build needs; None where our parser does not understand the Dockerfile, which the engine may."""
    for on_build in (asked.contexts.on_build(bases.on_build), lambda base: ()):
        with suppress(DockerfileError):
            plan = program(asked.dockerfile).plan(asked.target, dict(asked.args), target_platform=asked.platform, on_build=on_build)
            return asked.contexts.applied(plan)
    return None


def _driven(client: Client, asked: Asked, way: _Way, progress: Callable[[Build], object], remembering: Remembering | None) -> Build:
    adapter = way.adapter
    named = rows.bases(way.plan)
    trace = Trace(asked.dockerfile, asked.tags, way.builder, way.reason, time.time(), asked.target, named)

    def apply(events: Iterable[Event]) -> None:
        for event in way.mask.events(events):
            trace.apply(event)

    def look() -> None:
        trace.sent = way.tally.sent
        for said in (*way.tally.warnings, *way.mask.warnings):
            trace.apply(said)

    def report(now: float) -> None:
        sized = way.tally.warnings
        look()
        progress(trace.snapshot(now))
        way.tally.show(sized)

    apply(adapter.begin())
    outcome = "failed"
    try:
        if way.tally.warnings:
            report(time.time())  # a classic builder is sent everything before it says a word
        with _messages(client, asked, way) as messages:
            reported = 0.0
            for message in messages:
                now = time.time()
                if message:
                    apply(adapter.feed(message, now))
                if remembering:
                    remembering.look(way.tally)
                if now - reported >= _TICK:
                    report(now)
                    reported = now
        apply(adapter.end(time.time()))
        if adapter.error is None and adapter.image_id is None and asked.output.is_image:
            raise gone(_DOING)
        outcome = "failed" if adapter.error is not None else "done"
        if adapter.error is None and adapter.image_id:
            client.api.note(ledger.Entry("image", adapter.image_id), *map(ledger.tag, asked.tags))
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except EngineError as error:
        # Refused before the first step, as an HTTP answer.
        said = getattr(error.__cause__, "explanation", None) or _ADDRESS.sub("", error.message)
        if is_page(str(said)):
            raise
        raise _why(str(said), None, asked, way, trace.snapshot(time.time(), "failed")) from error
    finally:
        apply(linting.further(asked.dockerfile, dict(asked.args), trace.lints, has_linter=way.builder == BUILDKIT))
        apply(way.mask.end())
        look()
        record = trace.snapshot(time.time(), outcome, adapter.image_id)
        if remembering:
            record = replace(record, reasons=remembering.reasons(record, way.tally))
        progress(record)
    if adapter.error is not None:
        raise _why(adapter.error, adapter.exit_code, asked, way, record)
    return record


@contextmanager
def _messages(client: Client, asked: Asked, way: _Way) -> Iterator[Iterator[dict[str, Any] | None]]:
    """What the builder says, and None at every tick without a word."""
    if way.solve:
        yield way.solve(_TICK)
        return
    parameters = {**asked.parameters(), **way.parameters}
    with streaming(client, "POST", "/build", doing=_DOING, params=parameters, **way.request) as stream:
        yield stream.messages(_TICK)


def _why(said: str, exit_code: int | None, asked: Asked, way: _Way, record: Build) -> Exception:
    """What went wrong: what we know of it ourselves comes before the engine's words."""
    said = way.mask.text(said)
    failed = way.failed(said) or diagnose(said, exit_code, asked.dockerfile, record, asked.context.paths())
    if isinstance(failed, BuildError):
        failed.evidence += way.problems()
        failed.asked = asked
    return failed
