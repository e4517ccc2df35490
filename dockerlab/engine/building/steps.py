"""One stage, step by step: each instruction is told, found in the cache or carried out, and its image told.

What is printed is what Docker's classic builder prints. Steps that only change the configuration run in no container, and say so of
none.
"""

from __future__ import annotations

import posixpath
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.dockerfile.commands import Add, Arg, Cmd, Command, Copy, Entrypoint, Maintainer, Run, Workdir
from dockerlab.dockerfile.refusal import Refused, at
from dockerlab.engine import changes
from dockerlab.engine.building import copying, history, running
from dockerlab.engine.building.mounting import HALF_MADE, Mounting, refuse_taken, stubs
from dockerlab.engine.building.ownership import owner
from dockerlab.engine.building.running import Bound, Job
from dockerlab.engine.building.scripts import FOLDER, Script, script
from dockerlab.engine.building.state import Committer, State, clamp, key_of
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.engine.store.disk import full_disk_is_an_error
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Entry, Writer

if TYPE_CHECKING:
    from dockerlab.dockerfile.parser import Dockerfile
    from dockerlab.engine.building.cancellation import Cancellation
    from dockerlab.engine.building.request import BuildRequest
    from dockerlab.engine.building.sources import Sources
    from dockerlab.engine.building.telling import Teller
    from dockerlab.engine.containers import Containers
    from dockerlab.engine.store import Image

# Gives a step's layer, where it has one.
Layer = Callable[[], AbstractContextManager[IO[bytes] | None]]


@dataclass(frozen=True)
class Tools:
    """What the stages of one build have in common. proxies: of the build's arguments, those that no ARG needs to name."""

    containers: Containers
    request: BuildRequest
    sources: Sources
    committer: Committer
    mounting: Mounting
    cancellation: Cancellation
    proxies: Mapping[str, str]
    dockerfile: Dockerfile


class Steps:
    """expand: replaces the variables of an instruction. find: the files that a `--from` means. teller: is told of each.

    globals: what an ARG without a default may mean.
    """

    def __init__(
        self,
        tools: Tools,
        state: State,
        expand: Callable[[Command], Command],
        find: Callable[[Copy | Run, str], View],
        teller: Teller,
        globals: Mapping[str, str],
    ) -> None:
        self._tools, self.state, self._globals = tools, state, globals
        self._expand, self._find, self._teller = expand, find, teller

    # What each does

    def carry_out(self, command: Command) -> None:
        """Carries out an instruction. Raises EngineError, DockerfileError, Cancelled."""
        self._teller.begin(command, self.state.variables)
        try:
            self._tools.cancellation.check()
            with at(command.node, self._tools.dockerfile):
                self._carry_out(command)
        except BaseException as error:
            self._teller.failed(error)
            raise
        self._teller.end(self.state.image)

    def _carry_out(self, command: Command) -> None:
        match command if isinstance(command, Arg) else self._expand(command):
            case Run() as run:
                self._run(run)
            case (Copy() | Add()) as transfer:
                self._transfer(transfer)
            case Workdir() as workdir:
                self._workdir(workdir)
            case Arg() as arg:
                self._arg(arg)
            case other:
                self._configure(other)

    def _configure(self, command: Command) -> None:
        state = self.state
        state.config = changes.applied(state.config, command)
        if isinstance(command, Maintainer):
            state.author = command.name
        if isinstance(command, Cmd):
            state.is_cmd_own = True
        if isinstance(command, Entrypoint) and not state.is_cmd_own:
            state.config["Cmd"] = None
        self._commit(self._comment(history.told(command, state.config)), [state.config])

    def _arg(self, command: Arg) -> None:
        """Each default sees the ARGs before it; that of an argument which is given is not even looked at."""
        given = self._tools.request.args
        for pair in command.pairs:
            name, value = pair[0], given.get(pair[0])
            if value is None:
                alone = self._expand(replace(command, pairs=(pair,)))
                value = alone.pairs[0][1] if isinstance(alone, Arg) and pair[1] is not None else self._globals.get(name)
            if value is None:
                self.state.args.pop(name, None)
            else:
                self.state.args[name] = value
        told = (name if default is None else f"{name}={default}" for name, default in command.pairs)
        self._commit(self._comment(f"ARG {' '.join(told)}"), [])

    def _workdir(self, command: Workdir) -> None:
        state = self.state
        state.config = changes.applied(state.config, command)
        path = state.workdir
        self._commit(self._comment(f"WORKDIR {path}", gap=""), [], lambda: self._directories(path.strip("/")))

    @contextmanager
    def _directories(self, path: str) -> Iterator[IO[bytes] | None]:
        """The layer of a directory that is not there. As with BuildKit, it belongs to the stage's user."""
        view = self._tools.sources.root(self.state.image)
        place = resolve(view, path)
        missing = []
        while place and (found := view.lookup(place)) is None:
            missing.append(place)
            place = posixpath.dirname(place)
        if place and found and found.kind != "directory":
            raise EngineError(f"Cannot mkdir: /{path} is not a directory", status=500)
        if not missing:
            yield None
            return
        user = self.state.config.get("User")
        uid, gid = owner(user, view) if user else (0, 0)
        mtime = (self._tools.committer.epoch or 0) * 10**9
        with self._temporary() as layer:
            writer = Writer(layer)
            for name in reversed(missing):
                writer.add(Entry(name, "directory", 0o755, uid, gid, mtime))
            writer.close()
            layer.seek(0)
            yield layer

    def _transfer(self, command: Copy | Add) -> None:
        tools, state = self._tools, self.state
        name = "COPY" if isinstance(command, Copy) else "ADD"
        source = self._find(command, command.from_) if isinstance(command, Copy) else tools.sources.context
        planned = copying.plan(
            command,
            source,
            tools.sources.root(state.image),
            state.workdir,
            epoch=tools.committer.epoch,
            home=tools.mounting.home,
            cancellation=tools.cancellation,
        )
        with planned as plan:

            @contextmanager
            def layer() -> Iterator[IO[bytes] | None]:
                with self._temporary() as out:
                    plan.write(out)
                    out.seek(0)
                    yield out

            chown = f"--chown={command.chown} " if command.chown else ""
            text = self._comment(f"{name} {chown}{plan.word} in {command.target} ", gap="")
            material = [
                plan.digest,
                state.workdir,
                command.chown,
                command.chmod,
                command.link,
                isinstance(command, Add) and command.unpack,
            ]
            self._commit(text, material, layer)

    def _run(self, command: Run) -> None:
        tools, state = self._tools, self.state
        if command.security != "sandbox":
            text = f"granting entitlement security.{command.security} is not allowed by this engine"
            raise Refused(text, at="--security", hint="RUN without --security has what a container has.")
        what = script(command.line, state.shell)
        arguments = state.arguments
        text = "".join([f"|{len(arguments)} {' '.join(arguments)} " if arguments else "", " ".join(what.argv)])
        # The text does not tell where a word ends.
        material = [
            what.argv,
            arguments,
            what.file,
            command.network,
            *tools.mounting.material(command.mounts, partial(self._find, command)),
        ]
        tells_all = not command.mounts and not what.file and command.network == "default"
        self._commit(text, material, lambda: self._ran(command, what, arguments), tells_all=tells_all)

    @contextmanager
    def _ran(self, command: Run, what: Script, arguments: Sequence[str]) -> Iterator[IO[bytes] | None]:
        tools, state = self._tools, self.state
        # Who waits for a cache may be the one whose messages are read.
        keeps = any(mount.type == "cache" for mount in command.mounts)
        view = tools.sources.root(state.image)
        refuse_taken(view, command.mounts, state.workdir)
        with (
            self._teller.hurrying() if keeps else nullcontext(),
            self._ground() as image,
            tools.mounting.ready(command.mounts, state.workdir, partial(self._find, command)) as mounted,
            self._file(what) as file,
        ):
            bound = (*mounted.bound, *file)
            targets = [*(one.target for one in bound if not one.target.startswith(f"{FOLDER}/")), *mounted.tmpfs]
            proxies = (f"{name}={value}" for name, value in tools.proxies.items() if name not in state.environment)
            job = Job(
                image.id,
                what.argv,
                state.config,
                (*arguments, *proxies, *mounted.env),
                {**tools.request.host, **({} if command.network == "default" else {"NetworkMode": command.network})},
                bound,
                mounted.tmpfs,
                stubs(view, targets) if targets else (),
                tuple(mounted.secret),
            )
            shown: list[str] = []

            def told(identifier: str) -> None:
                shown.append(identifier)
                self._teller.running(identifier)

            try:
                with running.run(tools.containers, job, told, self._teller.printed, tools.cancellation) as ran:
                    yield from self._clamped(ran.layer)
                    made = state.image
                    if made and tools.committer.epoch is None and len(made.layers) == len(image.layers) + 1:
                        ran.adopt(made)
            finally:
                if shown:
                    self._teller.removed(shown[0])

    # What they have in common

    def _comment(self, text: str, gap: str = " ") -> str:
        return history.comment(self.state.shell, text, gap)

    def _commit(
        self, created_by: str, material: Sequence[object], layer: Layer = lambda: nullcontext(None), *, tells_all: bool = True
    ) -> None:
        """The step's image: one that the cache has, or a new one. tells_all: two steps with one text do the same."""
        tools, state = self._tools, self.state
        key = key_of(state.image, created_by, [*material, tools.committer.epoch])
        if not tools.request.no_cache:
            found = tools.committer.cached(key)
            if found is None and tells_all:
                found = tools.committer.restored(state, created_by, key)
            if found:
                self._teller.cached()
                state.image = found
                return
        self._teller.ran()
        with layer() as written:
            tools.cancellation.check()
            state.image = tools.committer.commit(state, created_by, key, written)

    @contextmanager
    def _ground(self) -> Iterator[Image]:
        """The image that a command runs on; of a stage from scratch an empty one, for as long as it runs."""
        if self.state.image:
            yield self.state.image
            return
        committer = self._tools.committer
        # No other one is the same, not even with SOURCE_DATE_EPOCH: it is removed while others are in use.
        image = committer.commit(State(), f"nothing {secrets.token_hex(16)}", "", None)
        try:
            yield image
        finally:
            committer.store.remove(image.id, force=True)

    def _clamped(self, layer: IO[bytes]) -> Iterator[IO[bytes]]:
        """With SOURCE_DATE_EPOCH nothing that a command wrote is younger than that."""
        epoch = self._tools.committer.epoch
        if epoch is None:
            yield layer
            return
        with self._temporary() as out:
            clamp(layer, out, epoch)
            out.seek(0)
            yield out

    @contextmanager
    def _temporary(self) -> Iterator[IO[bytes]]:
        with full_disk_is_an_error(), tempfile.TemporaryFile(dir=self._tools.mounting.home.tmp) as file:
            yield file

    @contextmanager
    def _file(self, what: Script) -> Iterator[list[Bound]]:
        """The executable file that a heredoc is."""
        if not what.file:
            yield []
            return
        with tempfile.TemporaryDirectory(prefix=HALF_MADE, dir=self._tools.mounting.home.tmp) as folder:
            path = Path(folder, "script")
            path.write_text(what.file, encoding="utf-8", errors="surrogatepass")
            path.chmod(0o755)
            yield [Bound(path, what.argv[0])]
