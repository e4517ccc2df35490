"""The builds that are going on, and how one goes: the context is read, the stages are built and told, the image gets its names."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from dockerlab.dockerfile import frontends
from dockerlab.dockerfile.parser import parse
from dockerlab.dockerfile.planning import Plan
from dockerlab.dockerfile.program import Program, program
from dockerlab.engine.building.caches import Caches
from dockerlab.engine.building.cancellation import Cancellation, Cancelled
from dockerlab.engine.building.context import Context
from dockerlab.engine.building.request import BuildRequest
from dockerlab.engine.building.running import CommandFailed
from dockerlab.engine.building.sources import Sources
from dockerlab.engine.building.stages import Shared, Stages, label
from dockerlab.engine.building.state import Committer
from dockerlab.engine.building.telling import ClassicTelling
from dockerlab.engine.json_lines import line
from dockerlab.engine.sessions.packs import Contexts
from dockerlab.engine.store import Image, Use
from dockerlab.engine.store.catalogue import canonical
from dockerlab.engine.store.documents import architecture
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerfileError, DockerlabError, EngineError, NotFound, UsageError
from dockerlab.reference import parse as parse_reference

if TYPE_CHECKING:
    from dockerlab.dockerfile.commands import Label
    from dockerlab.engine.building.secrets import Secrets
    from dockerlab.engine.building.telling import Telling
    from dockerlab.engine.containers import Containers
    from dockerlab.engine.http.types import Body, Watched
    from dockerlab.engine.rootfs.reading import View
    from dockerlab.engine.sessions.registry import Sessions
    from dockerlab.registry.auth import Credentials

_EPOCH = "SOURCE_DATE_EPOCH"
_LONGEST_EPOCH = 12
_LAST_SECOND = 253402300799  # of the year 9999: a time has four digits for it
# Arguments of BuildKit's own, which no ARG needs to take.
_BUILT_IN = ("BUILDKIT_", _EPOCH)


class Builder:
    """All builds of an engine. Thread-safe. sessions: gives those of the engine."""

    def __init__(self, containers: Containers, sessions: Callable[[], Sessions]) -> None:
        self._containers, self.sessions = containers, sessions
        self.caches = Caches(containers.parts.home)
        self.contexts = Contexts(containers.parts.home)
        self._lock = threading.Lock()
        self._builds: set[Build] = set()

    def begin(self, request: BuildRequest, body: Body, watched: Watched = lambda _: nullcontext()) -> Build:
        """Reads the context and the Dockerfile. Raises UsageError, EngineError, for what is wrong with them; then nothing is left.

        With version 2 that is told by the stream, as BuildKit does. watched: tells of a client that leaves while its context is fetched
        from elsewhere; then it raises Cancelled.
        """
        if request.is_traced:
            from dockerlab.engine.building.solving import TracedBuild

            return TracedBuild(self, self._containers, request, body)
        cancellation = Cancellation()
        with watched(cancellation.cancel) if request.remote else nullcontext():
            context = Context.read(body, self._containers.parts.home, request.dockerfile, request.remote, cancellation)
        try:
            read = self.read(request, context.dockerfile())
            return ClassicBuild(self, self._containers, request, context, read, self.planned(request, read))
        except BaseException:
            context.close()
            raise

    def read(self, request: BuildRequest, text: str) -> Program:
        """Raises UsageError for a Dockerfile that cannot be read, with its place."""
        if not text.strip():
            raise UsageError(f"the Dockerfile ({request.dockerfile}) cannot be empty")
        try:
            dockerfile = parse(text)
            frontends.check(dockerfile, request.args)
            return program(dockerfile)
        except DockerfileError as error:
            raise UsageError(whole(error)) from error

    def planned(self, request: BuildRequest, read: Program) -> Plan:
        """Raises UsageError for a Dockerfile that cannot be built, with its place."""
        try:
            return self.plan(request, read)
        except DockerfileError as error:
            raise UsageError(whole(error)) from error

    def plan(self, request: BuildRequest, read: Program) -> Plan:
        """What is to be built, by what is known of the images that it stands on. Raises DockerfileError."""
        return read.plan(request.target, request.args, build_platform=f"linux/{architecture()}", on_build=self._on_build)

    def _on_build(self, name: str) -> Sequence[str]:
        """What an image said with ONBUILD; of one that is to be pulled it is found out later."""
        with suppress(DockerlabError):
            return self._containers.parts.store.get(name).run.get("OnBuild") or ()
        return ()

    def uses(self) -> list[Use]:
        """The images that a build needs as long as it goes on."""
        with self._lock:
            return [Use(build.id, image, True) for build in self._builds for image in build.images()]

    def cancel(self, build_id: str) -> None:
        """Ends the builds that a client calls so."""
        with self._lock:
            found = [build for build in self._builds if build_id and build.request.build_id == build_id]
        for build in found:
            build.cancel()

    def add(self, build: Build) -> None:
        """A build has begun."""
        with self._lock:
            self._builds.add(build)

    def discard(self, build: Build) -> None:
        """A build is at its end."""
        with self._lock:
            self._builds.discard(build)

    def close(self) -> None:
        """Ends all builds."""
        with self._lock:
            builds = [*self._builds]
        for build in builds:
            build.cancel()
        for build in builds:
            build.ended.wait()


class Build(ABC):
    """One build: what all have in common. images: of its steps and those that they stand on."""

    def __init__(self, builder: Builder, containers: Containers, request: BuildRequest) -> None:
        self.builder, self.containers, self.request = builder, containers, request
        self.store = containers.parts.store
        self.cancellation = Cancellation()
        self._images: set[str] = set()
        self._lock = threading.Lock()
        self.id = f"build-{id(self):x}"
        self.ended = threading.Event()

    def images(self) -> set[str]:
        """The ids of images that must not be removed meanwhile."""
        with self._lock:
            return {*self._images}

    def cancel(self) -> None:
        """Ends it at once; from any thread."""
        self.cancellation.cancel()

    @abstractmethod
    def messages(self) -> Iterator[bytes]:
        """The stream, as clients read it. What fails is its last message. To be called once."""

    def stages(
        self, read: Program, plan: Plan, context: View, telling: Telling, labels: tuple[Label, ...], secrets: Secrets | None = None
    ) -> Stages:
        """The stages, to be built."""
        request, parts = self.request, self.containers.parts
        sources = Sources(
            *(parts.store, parts.snapshots, context, self._pull, self.cancellation, self.hold, telling.finding),
            always_pull=request.pull,
        )
        committer = Committer(parts.store, epoch(request), tuple(self._cache_sources()), self.hold, not request.is_traced)
        shared = Shared(
            self.containers,
            request,
            read,
            plan,
            sources,
            committer,
            self.builder.caches,
            self.cancellation,
            lambda: self.builder.plan(request, read),
            telling,
            labels,
            secrets,
        )
        return Stages(shared)

    def labels(self) -> tuple[Label, ...]:
        """Those of the request, as instructions."""
        return tuple(label(name, value) for name, value in sorted(self.request.labels.items()))

    def credentials(self, domain: str) -> Credentials | None:
        """What the client has for a registry."""
        from dockerlab.engine.registry import credentials  # most builds pull nothing
        from dockerlab.registry import hosts

        given = {hosts.domain(host): credentials.of_json(value) for host, value in self.request.auth.items()}
        return given.get(domain)

    def _cache_sources(self) -> Iterator[Image]:
        """The images that --cache-from names; those that are not there do not count."""
        for name in self.request.cache_from:
            with suppress(NotFound, UsageError):
                if image := self.store.held(self.store.get(name), self.hold):
                    yield image

    def hold(self, image: Image) -> None:
        with self._lock:
            self._images.add(image.id)

    def _pull(self, name: str, cancellation: Cancellation) -> Generator[Mapping[str, Any]]:
        """Brings an image of a registry."""
        from dockerlab.engine.registry import credentials
        from dockerlab.engine.registry.pulling import Pull
        from dockerlab.registry import hosts

        parts, wanted = self.containers.parts, canonical(name)
        pulling = Pull(
            parts.store,
            hosts.read(parts.home.root, os.environ),
            credentials.Keychain(os.environ),
            wanted,
            credentials=self.credentials(parse_reference(wanted).domain),
            notify=lambda action, image, attributes: parts.events.emit("image", action, image, attributes),
        )
        with cancellation.calling(pulling.cancel):
            pulling.begin()
            yield from pulling.messages()


class ClassicBuild(Build):
    """A build as Docker's classic builder tells it."""

    def __init__(
        self, builder: Builder, containers: Containers, request: BuildRequest, context: Context, read: Program, planned: Plan
    ) -> None:
        super().__init__(builder, containers, request)
        self._context, self._program, self._plan = context, read, planned

    def messages(self) -> Iterator[bytes]:
        """See `Build`."""
        self.builder.add(self)
        try:
            for message in self._messages():
                yield message if isinstance(message, bytes) else line(message)
        except CommandFailed as error:
            yield line({"errorDetail": {"code": error.code, "message": error.message}, "error": error.message})
        except Cancelled:
            return  # nobody reads it
        except (DockerlabError, OSError) as error:
            text = whole(error) if isinstance(error, DockerlabError) else str(error)
            yield line({"errorDetail": {"message": text}, "error": text})
        finally:
            self._context.close()
            self.builder.discard(self)
            self.ended.set()

    def _messages(self) -> Iterator[bytes | Mapping[str, Any]]:
        labels = self.labels()
        telling = ClassicTelling(self._program, self._plan, labels)
        stages = self.stages(self._program, self._plan, self._context, telling, labels)
        if not self.request.quiet:
            yield from telling.before()
        for piece in stages.schedule().messages():
            if not self.request.quiet:
                yield piece
        yield from self._named(made(stages), stages.plan)

    def _named(self, image: Image, plan: Plan) -> Iterator[Mapping[str, Any]]:
        if self.request.quiet:
            yield {"stream": f"{image.id}\n"}
        else:
            unused = [name for name in plan.unused if not name.startswith(_BUILT_IN)]
            if unused:
                yield {"stream": f"[Warning] One or more build-args [{' '.join(sorted(unused))}] were not consumed\n"}
            yield {"stream": f"Successfully built {short(image.id)}\n"}
        for name in self.request.tags:
            self.store.tag(image, name)
            if not self.request.quiet:
                yield {"stream": f"Successfully tagged {parse_reference(name).familiar}\n"}


def made(stages: Stages) -> Image:
    """What was built. Raises EngineError where that is nothing."""
    image = stages.result()
    if image is None:
        raise EngineError("No image was generated. Is your Dockerfile empty?", status=500)
    return image


def whole(error: DockerlabError) -> str:
    """An error as text alone: what is wrong, where, what to do."""
    return "\n".join([error.message, *error.place, *([error.hint] if error.hint else [])])


def epoch(request: BuildRequest) -> int | None:
    """SOURCE_DATE_EPOCH in seconds, None where it is not given. Raises UsageError."""
    text = request.args.get(_EPOCH)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_EPOCH and int(text) <= _LAST_SECOND):
        raise UsageError(f"invalid {_EPOCH}: {text}: seconds since 1970 are expected")
    return int(text)
