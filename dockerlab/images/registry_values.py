"""What the verbs on registries answer: values that show themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dockerlab import reference as references
from dockerlab.faces import registry as faces
from dockerlab.faces.shown import Shown
from dockerlab.image.manifest import Document, Entry, RemoteLayer, platform_of, remote_layers
from dockerlab.images.values import Pushed


@dataclass(frozen=True, repr=False)
class RemoteImage(Shown):
    """An image as its registry has it; nothing was pulled.

    found: what the name stands for: a manifest, or an index of several. manifest: that of the platform that was looked into; entry: its
    line in the index, None without one. config: of that image, or None for what is not one (a chart, a signature).
    """

    reference: str
    found: Document
    manifest: Document
    entry: Entry | None
    config: Mapping[str, Any] | None

    @property
    def digest(self) -> str:
        """Of what the name stands for: `%image push` and `pull` say the same."""
        return self.found.itself.digest

    @property
    def pinned(self) -> str:
        """The reference by digest: `registry.example/app@sha256:…`."""
        return f"{references.parse(self.reference).familiar_name}@{self.digest}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """All that it is there for: `linux/amd64`, `linux/arm64/v8`."""
        if self.found.is_index:
            return tuple(one.platform for one in self.found.entries if one.is_image)
        return (self.platform,) if self.platform else ()

    @property
    def platform(self) -> str:
        """That which was looked into; "" where nothing says it."""
        return platform_of(self.config or {}) or (self.entry.platform if self.entry else "")

    @property
    def size(self) -> int:
        """Bytes of its layers, as they travel: compressed. Each blob counts once."""
        return sum({blob.digest: blob.size for blob in self.manifest.layers}.values())

    @cached_property
    def layers(self) -> tuple[RemoteLayer, ...]:
        """Its history, the oldest line first, each with the blob of its layer."""
        if self.config is None:
            return tuple(RemoteLayer("", blob, None) for blob in self.manifest.layers)
        return remote_layers(self.config, self.manifest.layers)

    def _text(self) -> str:
        return faces.remote_text(self)

    def _table(self) -> str:
        return faces.remote_table(self)

    def _html(self) -> str:
        return faces.remote_html(self)


class PushedTags(list[Pushed], Shown):
    """What `push_all` did: each tag, with its digest. repository: without a tag."""

    def __init__(self, repository: str, pushed: list[Pushed]) -> None:
        super().__init__(pushed)
        self.repository = repository

    __repr__ = Shown.__repr__

    def _text(self) -> str:
        return faces.tags_text(self)

    def _table(self) -> str:
        return faces.tags_table(self)

    def _html(self) -> str:
        return faces.tags_html(self)


@dataclass(frozen=True, repr=False)
class LoggedIn(Shown):
    """A registry knows the user. place: the helper or the file that keeps the password, "" where it was kept before.

    username: "" where a token is kept in its place. is_encrypted: whether a helper keeps it. notes: what a reader has to know besides.
    """

    server: str
    username: str
    place: str = ""
    is_encrypted: bool = True
    notes: tuple[str, ...] = ()

    def _text(self) -> str:
        return faces.logged_in_text(self)

    def _table(self) -> str:
        return faces.logged_in_table(self)

    def _html(self) -> str:
        return faces.logged_in_html(self)


@dataclass(frozen=True, repr=False)
class LoggedOut(Shown):
    """The user is unknown to a registry again. was_there: whether something was kept."""

    server: str
    was_there: bool
    notes: tuple[str, ...] = ()

    def _text(self) -> str:
        return faces.logged_out_text(self)

    def _table(self) -> str:
        return faces.logged_out_table(self)

    def _html(self) -> str:
        return faces.logged_out_html(self)
