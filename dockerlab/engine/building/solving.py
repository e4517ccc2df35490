"""A build of BuildKit's kind: told by its trace, the context from the client's session, from a tar or a URL. `POST /build?version=2…`

Nothing is refused before the stream begins but the request itself: what is wrong with a Dockerfile is told as BuildKit tells it. From a
session come the Dockerfile, `.dockerignore`, and of the context what the stages that are built need; the context travels while stages
are being built that do not need it yet. The session's end is the build's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Final

from dockerlab.dockerfile.commands import Command
from dockerlab.dockerfile.planning import Planned
from dockerlab.engine.building import exporting
from dockerlab.engine.building.archive import spooled
from dockerlab.engine.building.builder import Build, epoch, made
from dockerlab.engine.building.cancellation import Cancelled
from dockerlab.engine.building.checking import Checking
from dockerlab.engine.building.context import IGNORE, Context
from dockerlab.engine.building.following import followed, patterns
from dockerlab.engine.building.request import SESSION, place
from dockerlab.engine.building.running import CommandFailed
from dockerlab.engine.building.secrets import Secrets
from dockerlab.engine.building.sources import Later
from dockerlab.engine.building.stages import Stages, triggers_of
from dockerlab.engine.building.tape import Tape
from dockerlab.engine.building.tracing import Trace, TraceTelling, said
from dockerlab.engine.building.vertices import CONTEXT, EXPORT, Graph, digest
from dockerlab.engine.json_lines import line
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.engine.store.documents import architecture
from dockerlab.errors import DockerlabError, EngineError, UsageError
from dockerlab.wire import control, services
from dockerlab.wire.streams import chunks
from dockerlab.wire.trace import Vertex

if TYPE_CHECKING:
    from dockerlab.engine.building.builder import Builder
    from dockerlab.engine.building.request import BuildRequest
    from dockerlab.engine.containers import Containers
    from dockerlab.engine.http.types import Body
    from dockerlab.engine.sessions.session import Session
    from dockerlab.engine.sessions.syncing import Tree
    from dockerlab.engine.store import Image
    from dockerlab.registry.auth import Credentials

LOG = logging.getLogger(__name__)
# Brings the context, once the stages can bring their images.
_Load = Callable[[Stages], View]
_DEFAULT: Final = "Dockerfile"
_LONGEST: Final = 16 << 20  # bytes of a Dockerfile
_NO_DOCKERFILE: Final = "Cannot locate specified Dockerfile"
# What an output is called while it is sent.
_SENT: Final = {
    "local": ("exporting to client directory", "copying files"),
    "tar": ("exporting to client tarball", "sending tarball"),
}
_HUB: Final = "docker.io"
_HUB_HOST: Final = "registry-1.docker.io"  # as BuildKit asks for it


class TracedBuild(Build):
    """A build with a session, or without."""

    def __init__(self, builder: Builder, containers: Containers, request: BuildRequest, body: Body) -> None:
        super().__init__(builder, containers, request)
        self._stack = ExitStack()
        self._tape = Tape(containers.parts.home.tmp)
        self.trace = Trace(self._tape.write)
        self._session: Session | None = None
        self._is_dropped = False
        self._body: IO[bytes] | None = None
        if not request.remote:
            self._body = spooled(chunks(body), containers.parts.home.tmp)
            self._body.seek(0)

    def messages(self) -> Iterator[bytes]:
        """See `Build`."""
        self.builder.add(self)
        worker = threading.Thread(target=self._work, name="build", daemon=True)
        worker.start()
        try:
            yield from self._tape.read()
        finally:
            self.cancellation.cancel()
            self._tape.drop()
            worker.join()
            self.builder.discard(self)
            self.ended.set()

    def _work(self) -> None:
        """The build, in a thread of its own: whatever it says is read as it comes."""
        try:
            last = self._outcome()
            self._stack.close()
            with suppress(OSError):  # a full disk; the reader sees the stream end
                self._tape.write(last)
        finally:
            if self._body:
                self._body.close()
            self._tape.close()

    def _outcome(self) -> bytes:
        """The stream's last line; of what is no image nothing."""
        try:
            image = self._build()
            return line({"id": control.IMAGE, "aux": {"ID": image.id}}) if image else b""
        except Exception as error:
            if isinstance(error, Cancelled) and self._is_dropped:
                from dockerlab.engine.sessions.session import SessionEnded

                error = SessionEnded()
            if not isinstance(error, DockerlabError | OSError):
                LOG.exception("a build broke off")
            text = said(error)
            if isinstance(error, DockerlabError) and not isinstance(error, Cancelled):
                text = "\n".join([text, *error.place, *([error.hint] if error.hint else [])])
            code = {"code": error.code} if isinstance(error, CommandFailed) else {}
            return line({"errorDetail": {**code, "message": text}, "error": text})

    def _build(self) -> Image | None:
        request, home = self.request, self.containers.parts.home
        if request.session:
            self._session = self.builder.sessions().find(request.session, self.cancellation)
            self._stack.enter_context(self._session.telling(self._drop))
        exporting.check(self._session, request.output)
        text, context, ignore = self._from_session() if request.remote == SESSION else self._from_archive()
        if not text.strip():
            raise UsageError("the Dockerfile cannot be empty")
        program = self.builder.read(request, text)
        vertex = digest("dockerfile" if request.remote == SESSION else "context")
        checking = Checking(self.trace, program, request, self.store, vertex, ignore)
        checking.form()
        plan = self.builder.planned(request, program)
        graph = Graph(program, plan)
        telling = TraceTelling(self.trace, graph)
        secrets = Secrets(self._session, home, self.cancellation)
        later = Later(lambda: context(stages))
        stages = self.stages(program, plan, later, telling, self.labels(), secrets)
        self._program, self._plan = program, plan
        self.trace.tell(graph.all())
        checking.effect(plan, lambda: self.builder.planned(request, program), stages.base)
        if request.remote == SESSION and graph.needs_context:
            self.trace.tell([Vertex(digest("context"), CONTEXT)])
            loading = threading.Thread(target=self._load, args=(later,), name="build context", daemon=True)
            loading.start()
            self._stack.callback(loading.join)
            self._stack.callback(self.cancellation.cancel)
        tape = Tape(home.tmp)  # nothing is told by it
        try:
            for _ in stages.schedule(tape).messages():
                pass
        finally:
            checking.rest()
        if request.output.is_image:
            return self._exported(made(stages), graph)
        if request.output.is_sent:
            self._sent(stages)
        return None

    def _load(self, later: Later) -> None:
        with suppress(Exception):  # whoever needs it meets the error
            later.made()

    def _drop(self) -> None:
        self._is_dropped = True
        self.cancellation.cancel()

    def _exported(self, image: Image, graph: Graph) -> Image:
        vertex = digest("export")
        with self.trace.working(Vertex(vertex, EXPORT, (graph.target,) if graph.target else ())):
            self.trace.status(vertex, f"writing image {image.id}", "", is_over=True)
            for name in self.request.tags:
                self.store.tag(image, name)
                self.trace.status(vertex, f"naming to {name}", "", is_over=True)
            if not self.request.tags:
                image = self.store.show(image)
        self.store.tell_made(image)  # also when all of it was there, as Docker does
        return image

    def _sent(self, stages: Stages) -> None:
        """The result's files go to the client. Of a stage from scratch without a step there are none, which is no error."""
        assert self._session
        output, parts = self.request.output, self.containers.parts
        name, told = _SENT[output.type]
        platform = f"linux/{architecture()}"
        id = f"{told} {platform}" if output.is_split else told
        vertex = digest("export")
        went = 0

        def progress(size: int) -> None:
            nonlocal went
            went = size
            self.trace.status(vertex, id, "transferring", size)

        with self.trace.working(Vertex(vertex, name)):
            exporting.export(
                *(self._session, stages.files(), output, parts.home.tmp, self.cancellation, progress),
                platform=platform,
                epoch=epoch(self.request),
            )
            self.trace.status(vertex, id, "transferring", went, is_over=True)

    # The context

    def _from_archive(self) -> tuple[str, _Load, str]:
        """From the request's body, or from a URL. What is to be ignored its sender has left out."""
        name = self.request.remote or "remote build context"
        with self.trace.working(Vertex(digest("context"), f"[internal] load {name}")):
            home = self.containers.parts.home
            body: IO[bytes] = self._body or spooled([], home.tmp)
            try:
                read = Context.read(body, home, self.request.dockerfile, self.request.remote, self.cancellation)
            except EngineError as error:
                if error.message.startswith(_NO_DOCKERFILE):
                    raise _no_dockerfile(self.request.dockerfile) from error
                raise
            self._stack.callback(read.close)
        return read.dockerfile(), lambda stages: read, ""

    def _from_session(self) -> tuple[str, _Load, str]:
        """The Dockerfile; what brings the context; and what is ignored of it."""
        from dockerlab.engine.sessions.syncing import Wanted

        name = place(self.request.dockerfile)
        own = f"{name}{IGNORE}"
        others = [name.lower()] if name == _DEFAULT else []
        folder = self._synced(
            Vertex(digest("dockerfile"), f"[internal] load build definition from {self.request.dockerfile}"),
            Wanted("dockerfile", follow=[name, own, *others]),
            "dockerfile",
        )
        text = next((found for one in (name, *others) if (found := _read(folder, one)) is not None), None)
        if text is None:
            raise _no_dockerfile(name)
        ignore = _read(folder, own)
        if ignore is None:
            vertex = Vertex(digest("ignore"), f"[internal] load {IGNORE}")
            ignore = _read(self._synced(vertex, Wanted("context", follow=[IGNORE]), "context", "ignore"), IGNORE)
        return text, partial(self._context, patterns(ignore or "")), ignore or ""

    def _context(self, exclude: Sequence[str], stages: Stages) -> View:
        from dockerlab.engine.sessions.syncing import Wanted

        follow = followed(self._plan, self._program.dockerfile, self.request.args, partial(self._base, stages))
        wanted = Wanted("context", exclude=exclude, follow=follow or ())
        return self._synced(Vertex(digest("context"), CONTEXT), wanted, "context")

    def _base(self, stages: Stages, planned: Planned) -> tuple[Mapping[str, str], Sequence[Command]]:
        """What an image says that has to be known: it is brought first."""
        image = stages.base(planned.base)
        environment = dict(item.partition("=")[::2] for item in image.run.get("Env") or ())
        return environment, planned.triggers or triggers_of(image, planned, self._program)

    def _synced(self, vertex: Vertex, wanted: object, what: str, kept: str = "") -> Tree:
        from dockerlab.engine.sessions.syncing import Wanted, synced

        assert self._session
        assert isinstance(wanted, Wanted)
        # Without a key of the client nothing is known before, and nothing will be after.
        key = self._session.key or f"session {self._session.id}"
        draft = self._stack.enter_context(self.builder.contexts.using(f"{kept or what}\0{key}", is_kept=bool(self._session.key)))
        status = f"transferring {what}:"
        with self.trace.working(vertex):
            came = 0

            def progress(size: int) -> None:
                nonlocal came
                came = size
                self.trace.status(vertex.digest, status, "transferring", size)

            tree = synced(self._session, wanted, draft, self.cancellation, progress)
            self.trace.status(vertex.digest, status, "transferring", came, is_over=True)
        return tree

    # Credentials

    def credentials(self, domain: str) -> Credentials | None:
        """See `Build`: the session's, else the request's."""
        from dockerlab.engine.sessions.session import CallFailed
        from dockerlab.registry.auth import Credentials
        from dockerlab.wire.protobuf import MalformedError, decode, encode

        if self._session and self._session.supports(services.CREDENTIALS):
            host = _HUB_HOST if domain == _HUB else domain
            with suppress(CallFailed, MalformedError):
                message = encode(services.CredentialsRequest(host))
                answer = decode(services.CredentialsResponse, self._session.ask(services.CREDENTIALS, message, self.cancellation))
                if answer.username and answer.secret:
                    return Credentials(answer.username, answer.secret)
                if answer.secret:
                    return Credentials(identity_token=answer.secret)
        return super().credentials(domain)


def _no_dockerfile(name: str) -> EngineError:
    hint = "The Dockerfile is a file of the build's folder; another one is named with -f."
    return EngineError(f"failed to read dockerfile: open {name}: no such file or directory", hint=hint, status=500)


def _read(tree: View, path: str) -> str | None:
    """A file's text; None where there is none."""
    found = tree.lookup(resolve(tree, path))
    if found is None or found.kind != "file":
        return None
    if found.size > _LONGEST:
        raise EngineError(f"{path} is longer than {_LONGEST >> 20} MiB", hint="It is hardly text.", status=400)
    with tree.open(found.path) as file:
        return file.read().decode("utf-8", "replace")
