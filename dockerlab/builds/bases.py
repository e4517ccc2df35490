"""The images that a build starts from, as the engine has them: their ids, and what they say with ONBUILD. Each is asked for once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import requests
from docker.errors import DockerException

from dockerlab.client import Client


class Bases:
    """Of one build."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def ids(self, name: str) -> tuple[str, ...]:
        """An image's id and digests; none for one that the engine does not have."""
        return self._found(name)[0]

    def on_build(self, name: str) -> Sequence[str]:
        """The instructions that it brings to who builds upon it; none for one that the engine does not have."""
        return self._found(name)[1]

    def again(self, name: str) -> tuple[str, ...]:
        """Its ids by now: it may have been pulled since. What it was found to say with ONBUILD before stays."""
        ids = self._look(name)[0]
        self._known[name] = ids, self._found(name)[1]
        return ids

    def _found(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def _look(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with suppress(DockerException, requests.exceptions.RequestException, OSError, ValueError):
            api: Any = self._client.api
            found: Mapping[str, Any] = api.inspect_image(name)
            digests = [str(one).rpartition("@")[2] for one in found.get("RepoDigests") or ()]
            triggers = (found.get("Config") or {}).get("OnBuild") or ()
            return (str(found["Id"]), *digests), tuple(map(str, triggers))
        return (), ()
