"""Named contexts of a build (`--build-context NAME=…`): what `FROM NAME`, `COPY --from=NAME` and `RUN --mount=from=NAME` mean.

    contexts = Contexts.of(["lib=../lib", "base=docker-image://alpine:3.20", "notes=https://github.com/user/notes.git"])
    contexts.attributes                  for BuildKit's frontend
    Sender({**contexts.walks(), …}, …)   the folders among them, by the names under which the engine asks for their files
    contexts.folders()                   those names → the folders' own
    contexts.needed(plan)                the stages that a build still needs: one whose name is a context's is not built

A name is an image's, so that it may stand for one (`alpine`, `alpine:3.20`); it goes before a stage of the same name. A folder's own
`.dockerignore` counts, which is the frontend's work. Pure but for looking at the folders.

Follows docker/buildx (build/opt.go, commands/build.go) and moby/buildkit (frontend/dockerui/namedcontext.go).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from dockerlab import reference
from dockerlab.builds.context import Context
from dockerlab.builds.walking import Walk
from dockerlab.dockerfile.planning import SCRATCH, Plan
from dockerlab.errors import InvalidReference, UsageError

FLAG: Final = "--build-context"

_IMAGE: Final = "docker-image://"
_LAYOUT: Final = "oci-layout://"
_EXAMPLE: Final = f"{FLAG} lib=../lib"
_CAPABILITY: Final = "moby.buildkit.frontend.contexts"
_REMOTE: Final = re.compile(r"https?://|git://|ssh://|git@[\w.-]+:|github\.com/")
_HTTP: Final = re.compile(r"https?://")
_USERINFO: Final = re.compile(r"(https?|ssh|git)://([^/?#]*)@")
_UNREADABLE: Final = "invalid argument"  # all that BuildKit says of an address that gives nothing
_SCHEME: Final = re.compile(r"[A-Za-z][\w+.-]*://")
_DIGEST: Final = 8  # digits
_TOKEN: Final = 16  # characters; a shorter one is a name, which a log may say
_TAG: Final = ":latest"


@dataclass(frozen=True)
class Named:
    """What one stands for: a folder, or an address that the engine fetches."""

    folder: Context | None = None
    address: str = field(default="", repr=False)  # may hold a password

    @property
    def secret(self) -> bytes:
        """The password in the address, or a token in the place of a user's name; b"" for none."""
        match = _USERINFO.match(self.address)
        user, _, password = match[2].partition(":") if match else ("", "", "")
        return os.fsencode(password or (user if len(user) >= _TOKEN else ""))

    @property
    def image(self) -> str:
        """The image that it is, as people write it, or ""."""
        return reference.parse(self.address.removeprefix(_IMAGE)).familiar if self.address.startswith(_IMAGE) else ""


@dataclass(frozen=True)
class Contexts:
    """by_name: names as BuildKit has them, without `:latest`."""

    by_name: Mapping[str, Named] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, str | os.PathLike[str]] | Iterable[str]) -> Contexts:
        """Of texts `NAME=WHAT`, or of a mapping. Raises UsageError, and ContextError for a folder that is none."""
        pairs: dict[str, str | os.PathLike[str]] = {}
        if isinstance(given, Mapping):
            pairs.update(given)
        else:
            for text in [given] if isinstance(given, str) else given:
                name, equals, what = text.partition("=")
                if not (name and equals and what):
                    raise UsageError(f"{FLAG}{_shown(name)}: give NAME=WHAT", hint=_allowed())
                pairs[name] = what
        return cls({_name(name): _named(name, what) for name, what in pairs.items()})

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def get(self, name: str) -> Named | None:
        """What stands for a name that the Dockerfile uses."""
        return self.by_name.get(self.named(name))

    def named(self, name: str) -> str:
        """The name of the one that stands for a name that the Dockerfile uses (`lib:latest` is `lib`); "" for none."""
        if not self.by_name:
            return ""
        with suppress(UsageError):
            return found if (found := _name(name)) in self.by_name else ""
        return ""

    @property
    def attributes(self) -> dict[str, str]:
        """For the frontend. One that is too old for them refuses the first."""
        if not self.by_name:
            return {}
        found = {"frontend.caps": f"{_CAPABILITY}+forward"}
        for name, named in self.by_name.items():
            found[f"context:{name}"] = f"local:{_local(name, named.folder)}" if named.folder else named.address
        return found

    def secrets(self) -> Iterator[bytes]:
        """Those in addresses: engines name steps after an address as it is."""
        return (named.secret for named in self.by_name.values())

    def walks(self) -> dict[str, Walk]:
        """The folders."""
        return {_local(name, named.folder): named.folder.walk() for name, named in self.by_name.items() if named.folder}

    def folders(self) -> dict[str, str]:
        """The names under which the engine asks for folders → their own."""
        return {_local(name, named.folder): name for name, named in self.by_name.items() if named.folder}

    def needed(self, plan: Plan) -> frozenset[int]:
        """The indexes of the stages that are built."""
        planned, found, waiting = plan.by_index(), set[int](), [plan.target]
        while waiting:
            index = waiting.pop()
            if index in found or index not in planned or self.replaces(planned[index].stage.name):
                continue
            found.add(index)
            waiting += planned[index].needs
        return frozenset(found)

    def based(self, plan: Plan) -> frozenset[int]:
        """The indexes of the stages that begin with one."""
        return frozenset(one.stage.index for one in plan.stages if one.base_stage is None and self.get(one.base))

    def applied(self, plan: Plan) -> Plan:
        """What is built, as BuildKit numbers it: a stage that begins with one has no number for that, as if it began with nothing."""
        needed, based = self.needed(plan), self.based(plan)
        stages = (replace(one, base=SCRATCH) if one.stage.index in based else one for one in plan.stages)
        return replace(plan, stages=tuple(one for one in stages if one.stage.index in needed))

    def on_build(self, of_image: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
        """What a base brings. of_image: what an image does."""

        def brought(base: str) -> Sequence[str]:
            named = self.get(base)
            return of_image(base) if named is None else of_image(named.image) if named.image else ()

        return brought

    def replaces(self, stage: str) -> bool:
        """Whether one stands in the place of a stage."""
        return bool(stage) and self.get(stage) is not None

    def refusal(self, said: str) -> UsageError | None:
        """The error for what an engine says against them; None where it says something else."""
        evidence = [f"the engine says: {said}"]
        if f"capability {_CAPABILITY}" in said:
            hint = (
                "It came with Docker Engine 23.0. An older one can fetch a newer frontend, where it reaches a registry: "
                "`# syntax=docker/dockerfile:1.4` as the first line."
            )
            return UsageError(f"{FLAG}: this engine's own BuildKit has no named contexts", evidence=evidence, hint=hint)
        for name, named in self.by_name.items():
            if named.image and f"failed to resolve source metadata for {named.address.removeprefix(_IMAGE)}:" in said:
                hint = "`%image ls` shows what the engine has; is it spelt right, and does the engine reach its registry?"
                text = f"{FLAG} '{name}': the engine cannot get the image '{named.image}'"
                return UsageError(text, evidence=evidence, hint=hint)
            if said == _UNREADABLE and _HTTP.match(named.address):
                hint = "The engine fetches it, not this machine. Is it an archive, or a git repository (….git), and reachable from there?"
                return UsageError(f"{FLAG} '{name}': the engine can do nothing with its address", evidence=evidence, hint=hint)
        return None


def _allowed() -> str:
    return f"WHAT is a folder, {_IMAGE}IMAGE, or the address of a git repository or an archive. For example: {_EXAMPLE}"


def _name(text: str) -> str:
    try:
        return reference.parse(text).familiar.removesuffix(_TAG)
    except InvalidReference as error:
        hint = "It is named as an image is: lower-case letters, digits, and . _ - between them."
        if not _shown(text):
            raise UsageError(f"{FLAG}: before the first = stands no name", hint=_allowed()) from None
        raise UsageError(f"{FLAG}{_shown(text)}: {error.message}", hint=hint) from error


def _shown(name: str) -> str:
    """A name for an error; "" for what may be an address in its place."""
    return "" if "://" in name or "@" in name else f" '{name}'"


def _named(name: str, what: str | os.PathLike[str]) -> Named:
    """What stands for a name. An address is not shown in an error: it may hold a password."""
    text = os.fspath(what)
    if not text:
        raise UsageError(f"{FLAG} '{name}': it stands for nothing", hint=_allowed())
    if isinstance(what, str):
        if text.startswith(_LAYOUT):
            hint = f"Load it into the engine (`docker load`, `docker pull`), and give {name}={_IMAGE}IMAGE."
            raise UsageError(f"{FLAG} '{name}': {_LAYOUT} is not there: its files would have to be served to the engine", hint=hint)
        if text.startswith(_IMAGE):
            try:
                return Named(address=f"{_IMAGE}{reference.parse(text.removeprefix(_IMAGE)).canonical}")
            except InvalidReference as error:
                raise UsageError(f"{FLAG} '{name}': {error.message}", hint=f"For example: {_IMAGE}alpine:3.20") from error
        if _REMOTE.match(text):
            return Named(address=text)
        if scheme := _SCHEME.match(text):
            raise UsageError(f"{FLAG} '{name}': there is no '{scheme[0]}'", hint=_allowed())
    return Named(Context.of(what))


def _local(name: str, folder: Context) -> str:
    """What the engine asks for. Each folder has one of its own, under each name: an engine compares what it is told with what it had
    under that name, and takes a file of the same size and time for the same."""
    place = os.path.realpath(folder.directory or ".")
    digest = hashlib.sha256(f"{name}\0{place}".encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST]
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{digest}"
