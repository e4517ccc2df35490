"""`POST /build`: what is asked for, read from the query and the headers. Pure. Names, texts and statuses are the Engine API's.

version 2 is BuildKit's: told by its trace, with what a session brings (see `solving`).
"""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dockerlab import reference
from dockerlab.engine.http.types import Query
from dockerlab.engine.registry import manifests
from dockerlab.engine.store.values import refused
from dockerlab.errors import EngineError, InvalidReference, UsageError

BUILDKIT = (
    "dockerlab's engine takes builds by POST /build, with a session too, and not by BuildKit's own API: set DOCKER_BUILDKIT=0, and the "
    "same Dockerfile is built, RUN --mount, heredocs and stages side by side included"
)
SESSION: Final = "client-session"
_IMAGES: Final = ("image", "moby")
_SENT: Final = ("local", "tar")
_NOTHING: Final = "cacheonly"
_TRUE: Final = ("1", "t", "true")


@dataclass(frozen=True)
class Output:
    """What becomes of the result. type: of BuildKit's exporter. is_split: into a folder of the platform's name."""

    type: str = "moby"
    is_split: bool = False

    @property
    def is_image(self) -> bool:
        """An image of the engine, which gets its tags."""
        return self.type in _IMAGES

    @property
    def is_sent(self) -> bool:
        """Files for the client."""
        return self.type in _SENT


@dataclass(frozen=True)
class BuildRequest:
    """dockerfile: its place in the context. tags: canonical. args: None for one whose value is the Dockerfile's. auth: by registry.

    platform: as asked, "" for this machine's. host: the HostConfig of the containers of RUN. remote: a URL in place of the context.

    is_traced: version 2, told as BuildKit tells it. session: the id of the client's. build_id: what it is cancelled by.
    """

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = ""
    remote: str = ""
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    host: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    is_traced: bool = False
    session: str = ""
    build_id: str = ""
    output: Output = Output()


def parse(query: Query, headers: Mapping[str, str], platforms: tuple[str, ...]) -> BuildRequest:
    """headers: by lower-case name. platforms: what can be built for here. Raises UsageError, EngineError, InvalidReference."""
    is_traced, session, remote = query.text("version") == "2", query.text("session"), query.text("remote")
    if query.flag("squash"):
        raise UsageError("squash is only supported with experimental mode")
    if query.text("isolation").lower() not in ("", "default"):
        raise UsageError(f'unsupported isolation: "{query.text("isolation")}"')
    output = _output(query, is_traced=is_traced)
    if is_traced and remote == SESSION and not session:
        raise UsageError("a build context of a session needs one: session=ID", hint="POST /session opens it.")
    return BuildRequest(
        dockerfile=query.text("dockerfile") or "Dockerfile",
        tags=tuple(dict.fromkeys(_tag(text) for text in query.all("t") if text)),
        args=_texts(query, "buildargs", with_none=True),
        labels={name: value or "" for name, value in _texts(query, "labels", with_none=True).items()},
        target=query.text("target"),
        platform=_platform(query.text("platform"), platforms),
        remote=remote,
        cache_from=_list(query, "cachefrom"),
        no_cache=query.flag("nocache"),
        pull=query.flag("pull"),
        quiet=query.flag("q"),
        host=_host(query),
        auth=_auth(headers.get("x-registry-config", "")),
        is_traced=is_traced,
        session=session if is_traced else "",
        build_id=query.text("buildid"),
        output=output,
    )


def _output(query: Query, *, is_traced: bool) -> Output:
    """Raises UsageError, EngineError for what is no output of this engine."""
    value = query.json("outputs")
    if not value:
        return Output()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UsageError("invalid outputs specified: a list of objects is expected")
    if not is_traced:
        raise UsageError("outputs need BuildKit: ask with version=2")
    if len(value) > 1:
        raise EngineError("multiple outputs not supported", status=500)
    kind, attributes = value[0].get("Type"), value[0].get("Attrs") or {}
    if kind not in (*_IMAGES, *_SENT, _NOTHING) or not isinstance(attributes, dict):
        hint = "dockerlab's engine makes images, and sends files as type=local and type=tar."
        raise EngineError(f'exporter "{str(kind)[:100]}" could not be found', hint=hint, status=500)
    return Output(kind, str(attributes.get("platform-split", "")).lower() in _TRUE)


def _tag(text: str) -> str:
    try:
        found = reference.parse(text)
    except InvalidReference as error:
        raise EngineError(refused(text).message, status=500) from error
    if found.digest:
        raise EngineError("build tag cannot contain a digest", status=500)
    return found.canonical


def _platform(text: str, platforms: tuple[str, ...]) -> str:
    """The platform, if it can be built for. Raises UsageError."""
    wanted = text.lower().strip()
    if not wanted or wanted in platforms or wanted == "local":
        return ""
    manifests.platform(text)  # one that is none
    raise UsageError(
        f"cannot build for {text}: the steps of a build run on this machine, which is {platforms[0]}, "
        "and dockerlab's engine has no emulation; leave --platform out, or build on a machine of that kind"
    )


def _texts(query: Query, name: str, *, with_none: bool = False) -> dict[str, str | None]:
    value = query.json(name)
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise UsageError(f"invalid JSON in {name}: an object is expected")
    for key, text in value.items():
        if not isinstance(text, str) and not (with_none and text is None):
            raise UsageError(f"invalid JSON in {name}: {key} is not a text")
    return {_whole(key): text if text is None else _whole(text) for key, text in value.items()}


def _list(query: Query, name: str) -> tuple[str, ...]:
    value = query.json(name)
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"invalid JSON in {name}: a list of texts is expected")
    return tuple(map(_whole, value))


def _whole(text: str) -> str:
    """JSON may name halves of characters, which are in no file and in no command: Go's readers replace them, too."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _host(query: Query) -> dict[str, Any]:
    """What limits the containers of RUN, as a HostConfig has it; only what is given."""
    numbers = {
        "Memory": "memory",
        "MemorySwap": "memswap",
        "CpuShares": "cpushares",
        "CpuPeriod": "cpuperiod",
        "CpuQuota": "cpuquota",
        "ShmSize": "shmsize",
    }
    texts = {"CpusetCpus": "cpusetcpus", "CpusetMems": "cpusetmems", "NetworkMode": "networkmode", "CgroupParent": "cgroupparent"}
    found: dict[str, Any] = {key: query.number(name) or 0 for key, name in numbers.items()}
    found |= {key: query.text(name) for key, name in texts.items()}
    # One value each, as Docker's own clients send them; a list as JSON or with commas between is as good.
    hosts = query.all("extrahosts")
    listed = _list(query, "extrahosts") if hosts and hosts[0].startswith("[") else ",".join(hosts).split(",")
    found["ExtraHosts"] = [one for one in listed if one]
    ulimits = query.json("ulimits") or []
    if not isinstance(ulimits, list):
        raise UsageError("invalid JSON in ulimits: a list is expected")
    found["Ulimits"] = ulimits
    found["SecurityOpt"] = list(_list(query, "securityopt"))
    return {key: value for key, value in found.items() if value}


def _auth(header: str) -> dict[str, dict[str, str]]:
    """X-Registry-Config: base64 of {"host": {"username": …, "password": …}}. What is none counts for nothing, as in Docker."""
    if not header:
        return {}
    try:
        value = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return {str(host): found for host, found in value.items() if isinstance(found, dict)} if isinstance(value, dict) else {}


def place(name: str) -> str:
    """A Dockerfile's path in the context, cleaned. Raises UsageError where it leads out of it."""
    cleaned = posixpath.normpath(name.replace("\\", "/").lstrip("/"))
    if cleaned.startswith(".."):
        raise UsageError(f"the Dockerfile ({name}) must be within the build context")
    return cleaned
