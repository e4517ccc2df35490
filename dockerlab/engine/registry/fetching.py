"""Layers on their way from a registry into the store, three at once.

Each is verified by its digest and size as it goes to a draft, and looked through beside that; fetched once more from the start, if it
came damaged. What fails ends the others, and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Final

from dockerlab.engine.registry import progress, transfers
from dockerlab.engine.registry.abreast import Abreast
from dockerlab.engine.registry.manifests import Part
from dockerlab.engine.registry.measuring import Measuring
from dockerlab.engine.registry.progress import Feed, Message
from dockerlab.engine.registry.source import Source
from dockerlab.engine.store import Content, Store, layers
from dockerlab.engine.store.values import short
from dockerlab.errors import EngineError
from dockerlab.registry.abort import Abort
from dockerlab.registry.client import Broken
from dockerlab.registry.refusals import Cancelled, Refused

AT_ONCE: Final = 3
TRIES: Final = 2  # of what comes damaged


class Fetching:
    """parts: the layers to fetch. number: of the client that gave the manifest."""

    def __init__(self, store: Store, source: Source, number: int, parts: Sequence[Part], abort: Abort) -> None:
        self._store, self._source, self._number, self._abort = store, source, number, abort
        self.parts = list(parts)
        self._feed = Feed()
        self._done: dict[str, Content] = {}

    def run(self, order: Sequence[Part], there: Mapping[str, Content]) -> Generator[Message, None, dict[str, Content]]:
        """The messages; the layers that were fetched are what the generator returns. Each is told as pulled after those below it.

        To be called within `Store.adding`. order: all layers of the image. there: those that need not be fetched.
        """
        left = [part.digest for part in order if part.digest not in there]
        with closing(Abreast[Part]("pull", AT_ONCE, self._feed, self._abort).run(self.parts, self._fetch)) as messages:
            for message in messages:
                yield message
                while left and left[0] in self._done:
                    yield progress.step("Pull complete", short(left.pop(0)))
        yield from (progress.step("Pull complete", short(digest)) for digest in left)
        return self._done

    def _fetch(self, part: Part) -> None:
        self._done[part.digest] = self._layer(part)

    def _layer(self, part: Part) -> Content:
        """Fetches a layer into the store. Raises EngineError."""
        identifier = short(part.digest)
        for _ in range(TRIES):
            with self._store.blobs.draft() as draft, Measuring() as measuring:

                def take(data: bytes) -> None:
                    draft.write(data)
                    measuring.feed(data)
                    self._feed.amount("Downloading", identifier, draft.size, part.size)

                self._download(part, take)
                self._feed.say(progress.step("Verifying Checksum", identifier))
                if draft.digest != part.digest:
                    continue
                self._feed.say(progress.step("Download complete", identifier))
                draft.settle()  # while the rest of it is looked through
                try:
                    measured = measuring.result()
                except EngineError as error:
                    raise EngineError(f"layer {part.digest}: {error.message}", hint=error.hint) from error
                self._store.blobs.keep(draft)
                kind = part.kind or layers.media_type(measuring.start)
                return Content(part.digest, measured.diff_id, kind, part.size, measured.files_size, measured.count)
        raise EngineError(f"filesystem layer verification failed for digest {part.digest}", status=500)

    def _download(self, part: Part, take: Callable[[bytes], None]) -> None:
        """From who gave the manifest, else from the registry itself, else from where a foreign layer says."""
        got = 0

        def count(data: bytes) -> None:
            nonlocal got
            got += len(data)
            take(data)

        last = len(self._source.clients) - 1
        places = [(self._number, ""), *([(last, "")] if self._number != last else [])]
        places += [(last, url) for url in part.urls if part.is_foreign]
        for number, url in places:
            try:
                client = self._source.client(number)
                transfers.download(client, self._source.name.path, part, self._source.scopes, count, url)
                return
            except Cancelled:
                raise
            except (Refused, Broken) as error:
                if got or (number, url) == places[-1]:
                    raise unknown(error) if isinstance(error, Refused) else error from error


def layers_by_digest(store: Store) -> dict[str, Content]:
    """The layers that the store has, whole, by the digest that they have in registries."""
    found = [content for image in store.images() for content in store.contents_of(image)]
    return {content.digest: content for content in found if store.blobs.size(content.digest) == content.size}


def unique(parts: Sequence[Part]) -> list[Part]:
    """An image may have a layer twice."""
    return list({part.digest: part for part in parts}.values())


def unknown(error: Refused) -> EngineError:
    """A blob that the registry does not have, in Docker's words."""
    return EngineError("unknown blob", status=404) if error.answered == 404 else error
