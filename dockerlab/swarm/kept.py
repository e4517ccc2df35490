"""What a Swarm keeps for its services: secrets, which nobody can read again but the containers that have them, and configs.

    secrets.create("db-password", password)      Kept
    secrets.ls()                                  KeptList
    secrets.rm(["db-password"])                   Removed

The value is in no face, no repr and no error, of a config neither; a config's is `configs.get(name).data`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.belongings import Removed, checked
from dockerlab.client import Client, connect
from dockerlab.containers.options import labels
from dockerlab.errors import NotFound, UsageError
from dockerlab.faces import swarm as faces
from dockerlab.faces.shown import Shown
from dockerlab.swarm.refusals import swarm_errors

LARGEST: Final = {"secret": 500 * 1024, "config": 1000 * 1024}
_MOUNT: Final = {"secret": "Secrets", "config": "Configs"}
_NAME: Final = {"secret": "SecretName", "config": "ConfigName"}


@dataclass(frozen=True, repr=False)
class Kept(Shown):
    """A secret or a config. kind: which of them. services: the names of those that have it. attrs: as an inspect has them, but its data."""

    kind: str
    id: str
    name: str
    services: tuple[str, ...]
    attrs: dict[str, Any]
    _data: bytes | None = None

    @property
    def data(self) -> bytes:
        """A config's value. Raises UsageError for a secret's, which no engine gives away."""
        if self._data is None:
            raise UsageError(
                f"no engine gives away the value of {self.kind} '{self.name}'",
                hint="In a container that has it: /run/secrets/NAME.",
            )
        return self._data

    @property
    def facts(self) -> faces.KeptFacts:
        """What is shown of it."""
        return faces.KeptFacts(self.kind, self.name, self.services, str(self.attrs.get("CreatedAt") or ""), self.id)

    def _text(self) -> str:
        return faces.kept_text(self.facts)

    def _table(self) -> str:
        return faces.kept_table(self.kind, [self.facts])

    def _html(self) -> str:
        return faces.kept_html(self.kind, [self.facts])


class KeptList(Shown, list[Kept]):
    """Secrets, or configs, by the alphabet."""

    def __init__(self, kind: str, kept: Iterable[Kept]) -> None:
        super().__init__(sorted(kept, key=lambda one: one.name))
        self._kind = kind

    def _text(self) -> str:
        return "\n".join(faces.kept_text(one.facts) for one in self) or faces.empty_kept(self._kind)

    def _table(self) -> str:
        return faces.kept_table(self._kind, [one.facts for one in self])

    def _html(self) -> str:
        return faces.kept_html(self._kind, [one.facts for one in self])


@dataclass(frozen=True)
class Store:
    """The secrets of an engine's Swarm, or its configs. kind: "secret" or "config"."""

    kind: str

    def create(
        self, name: str, data: str | bytes, *, label: Mapping[str, object] | Iterable[str] = (), client: Client | None = None
    ) -> Kept:
        """Keeps a value under a name. Raises Conflict where there is one of that name; UsageError; SwarmError."""
        value = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(data)
        if not value:
            raise UsageError(f"{self.kind} '{name}' would be empty")
        if len(value) > LARGEST[self.kind]:
            raise UsageError(f"{self.kind} '{name}' is too big; at most {LARGEST[self.kind] // 1024} KiB")
        client = client or connect()
        body = {"Name": checked(self.kind, name), "Data": base64.b64encode(value).decode(), "Labels": labels(label)}
        with swarm_errors(client, f"create {self.kind} '{name}'"):
            api: Any = client.api
            api._result(api._post_json(api._url(f"/{self.kind}s/create"), data=body), json=True)
        return self.get(name, client=client)

    def ls(self, *, client: Client | None = None) -> KeptList:
        """All of them. Raises SwarmError."""
        client = client or connect()
        listed = self._listed(client)
        users = self._users(client)
        return KeptList(self.kind, (self._kept(attrs, users) for attrs in listed))

    def get(self, name: str, *, client: Client | None = None) -> Kept:
        """One, by its whole name. Raises NotFound, SwarmError."""
        found = next((one for one in self.ls(client=client) if name in (one.name, one.id)), None)
        if found is None:
            raise NotFound(f"no such {self.kind} '{name}'", hint=f"`%swarm {self.kind} ls` shows those that there are.")
        return found

    def rm(self, names: str | Iterable[str], *, client: Client | None = None) -> Removed:
        """Removes them, after all of them were looked up. Raises NotFound; Conflict where a service has one."""
        client = client or connect()
        given: Sequence[str] = [names] if isinstance(names, str) else list(dict.fromkeys(names))
        found = [self.get(name, client=client) for name in given]
        for one in found:
            with swarm_errors(client, f"remove {self.kind} '{one.name}'"):
                api: Any = client.api
                api._raise_for_status(api._delete(api._url(f"/{self.kind}s/{{0}}", one.id)))
        return Removed(self.kind, tuple(one.name for one in found))

    def _listed(self, client: Client) -> list[dict[str, Any]]:
        with swarm_errors(client, f"list the {self.kind}s"):
            api: Any = client.api
            listed: list[dict[str, Any]] = api._result(api._get(api._url(f"/{self.kind}s")), json=True) or []
        return listed

    def _users(self, client: Client) -> dict[str, list[str]]:
        """name → the services that have it."""
        users: dict[str, list[str]] = {}
        with swarm_errors(client, "list the services"):
            api: Any = client.api
            listed = api.services()
        for service in listed:
            spec = service.get("Spec") or {}
            container = ((spec.get("TaskTemplate") or {}).get("ContainerSpec")) or {}
            for one in container.get(_MOUNT[self.kind]) or ():
                users.setdefault(str(one.get(_NAME[self.kind])), []).append(str(spec.get("Name")))
        return users

    def _kept(self, attrs: dict[str, Any], users: Mapping[str, Sequence[str]]) -> Kept:
        spec = dict(attrs.get("Spec") or {})
        data = spec.pop("Data", None)
        name = str(spec.get("Name") or "")
        services = tuple(sorted(set(users.get(name, ()))))
        value = base64.b64decode(data) if data is not None and self.kind == "config" else None
        return Kept(self.kind, str(attrs.get("ID") or ""), name, services, {**attrs, "Spec": spec}, value)


secrets: Final = Store("secret")
configs: Final = Store("config")
