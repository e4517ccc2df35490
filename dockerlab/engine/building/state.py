"""A stage as far as it has been built: its image, how containers of it run, the ARGs in scope; and the steps that the cache knows.

Each step makes an image, as Docker's classic builder does: what it prints can be run, and *is* the cache. A step is known by a key: what
it does, with what, and on which image. With `--cache-from` an image of any origin counts, too, where its history tells the same steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any

from dockerlab.engine import timestamps
from dockerlab.engine.store import Hold, Image, Store
from dockerlab.engine.store.documents import architecture
from dockerlab.engine.store.layers import Content
from dockerlab.wire.tar import Writer, entries

Config = dict[str, Any]
DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass
class State:
    """image: None before the first step of a stage from scratch. args: those in scope that have a value. author: of MAINTAINER.

    is_cmd_own: this stage has said what CMD is, so that an ENTRYPOINT leaves it.
    """

    image: Image | None = None
    config: Config = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    author: str = ""
    is_cmd_own: bool = False

    @property
    def shell(self) -> tuple[str, ...]:
        """What reads commands in the shell form."""
        return tuple(self.config.get("Shell") or DEFAULT_SHELL)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of ENV."""
        return dict(item.partition("=")[::2] for item in self.config.get("Env") or ())

    @property
    def variables(self) -> dict[str, str]:
        """What `$x` in an instruction means: ENV comes before ARG."""
        return {**self.args, **self.environment}

    @property
    def arguments(self) -> tuple[str, ...]:
        """The ARGs that a command sees, NAME=value, sorted: those that no ENV hides."""
        environment = self.environment
        return tuple(sorted(f"{name}={value}" for name, value in self.args.items() if name not in environment))

    @property
    def workdir(self) -> str:
        """Absolute."""
        return self.config.get("WorkingDir") or "/"


def key_of(parent: Image | None, created_by: str, material: Sequence[object]) -> str:
    """What a step is known by. material: besides its text, all that it depends on, as JSON has it."""
    text = json.dumps([parent.id if parent else "", created_by, *material], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Committer:
    """Makes images of steps. epoch: seconds, SOURCE_DATE_EPOCH; None for the time of day. sources: images that --cache-from names.

    hold: told of each image before anybody could remove it. is_shown: nobody has to ask for steps to see them, as with Docker's classic
    builder; else they are cache.
    """

    store: Store
    epoch: int | None = None
    sources: tuple[Image, ...] = ()
    hold: Hold | None = None
    is_shown: bool = True

    def cached(self, key: str) -> Image | None:
        """The step as somebody has made it before."""
        found = self.store.built(key)
        if found and self.hold:
            found = self.store.held(found, self.hold)
        return self.store.show(found) if found and found.is_cache and self.is_shown else found

    def commit(self, state: State, created_by: str, key: str, layer: IO[bytes] | None) -> Image:
        """Adds what a step did to a stage's image; config and author are the state's. A layer without entries is none.

        Raises EngineError.
        """
        with self.store.adding():
            content = self.store.add_layer(layer) if layer and _has_entries(layer) else None
            created = timestamps.now() if self.epoch is None else timestamps.text(self.epoch * 10**9)
            image = self._add(state, {"created": created, "created_by": created_by}, key, content)
        if self.is_shown:
            self.store.tell_made(image)
        return image

    def restored(self, state: State, created_by: str, key: str) -> Image | None:
        """The step as an image of --cache-from has it."""
        mine: Mapping[str, Any] = state.image.config if state.image else {}
        lines = mine.get("history") or []
        below = state.image.layers if state.image else ()
        for source in self.sources:
            theirs = source.config.get("history") or []
            layers = source.layers
            if len(theirs) <= len(lines) or [*map(_told, theirs[: len(lines)])] != [*map(_told, lines)]:
                continue
            line = theirs[len(lines)]
            if line.get("created_by") != created_by or [one.chain_id for one in layers[: len(below)]] != [
                one.chain_id for one in below
            ]:
                continue
            content = None
            if not line.get("empty_layer"):
                if len(layers) <= len(below):
                    continue
                content = self.store.contents_of(source)[len(below)]
            with self.store.adding():
                return self._add(state, {"created": line.get("created", ""), "created_by": created_by}, key, content)
        return None

    def _add(self, state: State, line: Mapping[str, str], key: str, content: Content | None) -> Image:
        below = self.store.contents_of(state.image) if state.image else []
        old: Mapping[str, Any] = state.image.config if state.image else {}
        platform = {name: old[name] for name in ("architecture", "variant", "os") if old.get(name)}
        told = {**line, **({"author": state.author} if state.author else {}), **({} if content else {"empty_layer": True})}
        whole = {
            **(platform or {"architecture": architecture(), "os": "linux"}),
            "created": line["created"],
            **({"author": state.author} if state.author else {}),
            "config": {name: value for name, value in state.config.items() if value not in (None, "", {}, [])},
            "history": [*(old.get("history") or []), told],
        }
        contents = [*below, content] if content else below
        parent = state.image.id if state.image else ""
        return self.store.add(whole, contents, parent=parent, key=key, is_cache=not self.is_shown, hold=self.hold)


def _has_entries(layer: IO[bytes]) -> bool:
    found = next(iter(entries(layer)), None)
    layer.seek(0)
    return found is not None


def _told(line: Mapping[str, Any]) -> tuple[object, bool]:
    return line.get("created_by"), bool(line.get("empty_layer"))


def clamp(layer: IO[bytes], out: IO[bytes], epoch: int) -> None:
    """Copies a layer's tar: nothing in it is younger than `epoch`, in seconds."""
    writer = Writer(out)
    for entry, data in entries(layer):
        writer.add(replace(entry, mtime=min(entry.mtime, epoch * 10**9)), data)
    writer.close()
