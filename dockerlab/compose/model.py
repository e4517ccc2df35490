"""A Compose file as Compose reads it, and the engine's containers of it, as values. Pure.

The file's form is https://github.com/compose-spec/compose-spec; the containers bear the labels `com.docker.compose.project`, `.service`
and `.oneoff`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from dockerlab.drawing import Drawn
from dockerlab.faces import compose as faces
from dockerlab.faces.hiding import hide, hide_arguments
from dockerlab.faces.shown import Shown

_LABEL: Final = "com.docker.compose."
_CODE: Final = re.compile(r"Exited \((\d+)\)")
_HEALTH: Final = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_LINE: Final = re.compile(r"\bline (\d+)\b")
_PATH: Final = re.compile(r"\b(?:services|networks|volumes|secrets|configs)(?:\.[\w-]+)+")
_EXTRA: Final = re.compile(r"additional propert(?:y|ies) '([^']+)'")
_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")


@dataclass(frozen=True)
class Member:
    """A container of a service. state: the engine's word. code: of one that ended, else None. health: "" where it has no check."""

    name: str
    state: str
    code: int | None = None
    health: str = ""


@dataclass(frozen=True)
class Service:
    """needs: the services that it waits for, each with what it waits for: started, healthy, completed. ports: as they are published.

    image: "" for one that is built and has no name. is_built: whether the file has a `build:` for it.
    """

    name: str
    image: str = ""
    is_built: bool = False
    needs: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    containers: tuple[Member, ...] = ()

    @property
    def state(self) -> str:
        """In a word: running, healthy, starting, unhealthy, exited 1, …; `not there` without a container."""
        words = dict.fromkeys(_word(one) for one in self.containers)
        return ", ".join(words) or "not there"


@dataclass(frozen=True, repr=False)
class Project(Drawn):
    """services: in the order of their names."""

    name: str
    services: tuple[Service, ...]

    @property
    def dot(self) -> str:
        """The picture as DOT text: a box for each service, an arrow from what another waits for."""
        return faces.dot(self)

    def __getitem__(self, name: str) -> Service:
        return next(one for one in self.services if one.name == name)

    def _label(self) -> str:
        return faces.text(self)

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.table(self)

    def _html(self) -> str:
        return faces.html(self, self.picture)


@dataclass(frozen=True)
class Row:
    """What Compose said last of a thing. word: Created, Started, Pulling, …"""

    word: str
    is_failed: bool = False

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Row:
        """A thing may have a text, a status, or both."""
        words = [str(event[key]) for key in ("text", "status") if event.get(key)]
        return cls(" ".join(words), words[:1] == ["Error"])


@dataclass(frozen=True, repr=False)
class Progress(Shown):
    """How far Compose is. rows: by the thing's name, in the order in which they were first spoken of."""

    name: str
    doing: str
    rows: Mapping[str, Row] = field(default_factory=dict)
    is_done: bool = False

    def told(self, thing: str, row: Row) -> Progress:
        return replace(self, rows={**self.rows, thing: row})

    def ended(self) -> Progress:
        return replace(self, is_done=True)

    def _text(self) -> str:
        return faces.progress_text(self)

    def _table(self) -> str:
        return faces.progress_table(self)

    def _html(self) -> str:
        return faces.progress_html(self)


@dataclass(frozen=True, repr=False)
class Downed(Shown):
    """What `down` removed: containers, networks, volumes, as Compose calls them."""

    removed: tuple[str, ...]

    def _text(self) -> str:
        return faces.downed_text(self)

    def _html(self) -> str:
        return faces.downed_html(self)


class Config(dict[str, Any], Shown):
    """A file as Compose reads it, without likely secrets."""

    def __init__(self, read: Mapping[str, Any]) -> None:
        super().__init__(_hidden(dict(read)))

    __repr__ = Shown.__repr__

    @property
    def yaml(self) -> str:
        return dumped(self)

    def _text(self) -> str:
        return self.yaml.rstrip()

    def _html(self) -> str:
        return faces.config_html(self)


def project(read: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> Project:
    """read: what `docker compose config --format json` answers. containers: of the project, as the engine lists them."""
    members: dict[str, list[tuple[int, Member, Mapping[str, Any]]]] = {}
    for one in containers:
        labels = one.get("Labels") or {}
        if labels.get(f"{_LABEL}oneoff", "").lower() != "true":
            number = labels.get(f"{_LABEL}container-number", "")
            place = int(number) if number.isdecimal() else 0
            members.setdefault(labels.get(f"{_LABEL}service", ""), []).append((place, _member(one), one))
    described = read.get("services") or {}
    services = []
    for name in sorted({*described, *members}):
        facts = described.get(name) or {}
        own = sorted(members.get(name, []), key=lambda found: (found[0], found[1].name))
        image = str(facts.get("image") or (own[0][2].get("Image") if own else "") or "")
        waits = facts.get("depends_on") or (_labelled(own[0][2]) if own and not facts else {})
        needs = tuple((needed, _needed(how)) for needed, how in sorted(waits.items()))
        ports = dict.fromkeys(port for _, _, one in own for port in _ports(one))
        services.append(Service(name, image, bool(facts.get("build")), needs, tuple(ports), tuple(member for _, member, _ in own)))
    return Project(str(read.get("name") or ""), tuple(services))


def _member(listed: Mapping[str, Any]) -> Member:
    status = str(listed.get("Status") or "")
    code, health = _CODE.search(status), _HEALTH.search(status)
    name = next((str(name).removeprefix("/") for name in listed.get("Names") or ()), str(listed.get("Id"))[:12])
    return Member(
        name, str(listed.get("State") or ""), int(code[1]) if code else None, health[1].removeprefix("health: ") if health else ""
    )


def _labelled(listed: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What a service waits for, as a label of its containers has it: `db:service_healthy:false,cache:service_started:false`."""
    label = str((listed.get("Labels") or {}).get(f"{_LABEL}depends_on") or "")
    found = (one.split(":") for one in label.split(",") if one)
    return {name: {"condition": rest[0] if rest else ""} for name, *rest in found}


def _needed(how: object) -> str:
    condition = str(how.get("condition") or "") if isinstance(how, Mapping) else ""
    return {"service_healthy": "healthy", "service_completed_successfully": "completed"}.get(condition, "started")


def _ports(listed: Mapping[str, Any]) -> Iterable[str]:
    for port in listed.get("Ports") or ():
        if port.get("PublicPort"):
            yield f"{port['PublicPort']} → {port['PrivatePort']}"


def _word(member: Member) -> str:
    if member.state == "exited":
        return f"exited {member.code or 0}"
    return member.health or member.state


def pinned(text: str, folder: Path, is_image: Callable[[str], bool]) -> str:
    """The file with `image: NAME` for each `build: NAME` that is no folder, but an image. As it stands where there is none."""
    import yaml

    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text  # Compose says what is wrong, or reads what we do not
    services = read.get("services") if isinstance(read, dict) else None
    changed = False
    for service in services.values() if isinstance(services, dict) else ():
        built = service.get("build") if isinstance(service, dict) else None
        if not isinstance(built, str) or _REMOTE.match(built) or (folder / built).expanduser().is_dir() or not is_image(built):
            continue
        del service["build"]
        service["image"] = built
        changed = True
    return dumped(read) if changed else text


def dumped(read: Mapping[str, Any]) -> str:
    """As YAML, in its own order."""
    import yaml

    return str(yaml.safe_dump(dict(read), sort_keys=False, allow_unicode=True))


def located(message: str, text: str) -> tuple[int | None, Sequence[str]]:
    """The line of the file that an error of Compose's is about, and how it is shown; nothing where it cannot be told."""
    line: int | None = None
    if found := _LINE.search(message):
        line = int(found[1])
    elif path := _PATH.search(message):
        extra = _EXTRA.search(message)
        line = _line_of([*path[0].split("."), *([extra[1]] if extra else [])], text)
    lines = text.splitlines()
    if line is None or not 0 < line <= len(lines):
        return None, ()
    return line, (f"line {line}: {lines[line - 1].strip()}",)


def _line_of(path: Sequence[str], text: str) -> int | None:
    """The line of the key at the end of a path, or of the last one that there is on the way."""
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError):
        return None
    line: int | None = None
    for name in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        key, node = next(((key, value) for key, value in pairs if key.value == name), (None, None))
        if key is None:
            break
        line = key.start_mark.line + 1
    return line


def _hidden(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(one, str(key)) for key, one in value.items()}
    if isinstance(value, list):
        return list(hide_arguments(value)) if all(isinstance(one, str) for one in value) else [_hidden(one) for one in value]
    return hide(name, value) if isinstance(value, str) else value
