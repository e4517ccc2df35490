"""/images: list, inspect, history, tag, remove, prune, load, save, import. What needs a registry is in `registry`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from dockerlab import reference
from dockerlab.engine import json_lines, json_shapes, timestamps
from dockerlab.engine.api import registry
from dockerlab.engine.api.networks import until_of
from dockerlab.engine.filters import Filters, parse
from dockerlab.engine.http.types import TAR, Answer, Request, Response, Route, Stream
from dockerlab.engine.json_shapes import TEXT, Struct
from dockerlab.engine.store import Image
from dockerlab.engine.store.kinship import shared_sizes, shown
from dockerlab.engine.store.values import tagged
from dockerlab.errors import EngineError, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_LISTED = ("before", "dangling", "label", "label!", "reference", "since", "until")
_PRUNED = ("dangling", "label", "label!", "until")
_MISSING = "<missing>"
_NO_SEARCH = "this engine cannot search for images: look for them on the registry's own pages"
# The part of a config that says how containers run; inspect shows these even where they are not set.
_SHOWN: Mapping[str, Any] = {
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir"), ""),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), False),
    **dict.fromkeys(("Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"), None),
}
_PLATFORM = Struct("platform", dict.fromkeys(("os", "architecture", "variant"), TEXT))
# What is whole in a pattern of Go's path.Match, which refuses what is left of a class or of a backslash without it.
_ESCAPED, _CLASS = re.compile(r"\\.", re.DOTALL), re.compile(r"\[(?:\^[^\]]+|[^\]^][^\]]*)\]")
# Since this version of the API there is no VirtualSize, which is the size once more.
_WITHOUT_VIRTUAL_SIZE = (1, 44)
_WITHOUT_CONTAINER = (1, 45)


def list_(engine: Engine, request: Request) -> Response:
    """GET /images/json"""
    filters = parse(request.query.text("filters"), _LISTED)
    shows_all = request.query.flag("all")
    images = engine.store.images()
    shared = shared_sizes(images) if request.query.flag("shared-size") else {}
    wanted = [image for image in (images if shows_all else shown(images)) if _is_wanted(engine, image, filters)]
    return Answer([_summary(image, filters, request.version, shared.get(image.id, -1)) for image in wanted])


def _is_wanted(engine: Engine, image: Image, filters: Filters) -> bool:
    created = _nanoseconds(image)
    for term, is_earlier in (("before", True), ("since", False)):
        for name in filters.values(term):
            other = _nanoseconds(engine.store.get(name))
            if not (created < other if is_earlier else created > other):
                return False
    until = until_of(filters, 500)
    if until is not None and created >= until:
        return False
    dangling = filters.flag("dangling")
    if dangling is not None and dangling != (not image.tags):
        return False
    patterns = _patterns(filters)
    if patterns and not any(_matches(name, pattern) for name in image.references for pattern in patterns):
        return False
    return filters.has_labels(image.labels) and filters.lacks_labels(image.labels)


def _patterns(filters: Filters) -> list[str]:
    """Those of the filter `reference`. Raises EngineError for one that is none."""
    patterns = filters.values("reference")
    for pattern in patterns:
        if re.search(r"[\[\\]", _CLASS.sub("", _ESCAPED.sub("", pattern))):
            raise EngineError("syntax error in pattern", status=500)
    return list(patterns)


def _matches(name: str, pattern: str) -> bool:
    """Docker's reference filter: a pattern of the familiar name, with or without its tag."""
    parsed = reference.parse(name)
    plain = f"{parsed.domain}/{parsed.path}"
    return any(_fits(text, pattern) for text in (parsed.familiar, parsed.familiar_name, parsed.canonical, plain))


def _fits(text: str, pattern: str) -> bool:
    """A shell's pattern, whose parts between slashes each match one part."""
    parts, patterns = text.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(fnmatchcase(*pair) for pair in zip(parts, patterns, strict=True))


def sizes(image: Image, version: tuple[int, int]) -> dict[str, int]:
    """What an image takes, as a version of the API has it."""
    return {"Size": image.size} | ({"VirtualSize": image.size} if version < _WITHOUT_VIRTUAL_SIZE else {})


def _summary(image: Image, filters: Filters, version: tuple[int, int], shared: int) -> dict[str, Any]:
    patterns = filters.values("reference")
    names = [name for name in image.references if not patterns or any(_matches(name, pattern) for pattern in patterns)]
    return {
        "Containers": -1,
        "Created": _seconds(image),
        "Id": image.id,
        "Labels": image.labels or None,
        "ParentId": image.parent,
        "RepoDigests": image.digests,
        "RepoTags": [reference.parse(name).familiar for name in names if "@" not in name],
        "SharedSize": shared,
        **sizes(image, version),
    }


def inspect(engine: Engine, request: Request) -> Response:
    """GET /images/{name}/json"""
    image = engine.store.get(request.params["name"])
    config = image.config
    return Answer(
        {
            "Id": image.id,
            "RepoTags": image.tags,
            "RepoDigests": image.digests,
            "Parent": image.parent,
            "Comment": _comment(config),
            "Created": image.created or timestamps.ZERO,
            "DockerVersion": str(config.get("docker_version") or ""),
            "Author": str(config.get("author") or ""),
            "Config": {**_SHOWN, **image.run},
            "Architecture": str(config.get("architecture") or ""),
            **({"Variant": config["variant"]} if config.get("variant") else {}),
            "Os": str(config.get("os") or ""),
            **sizes(image, request.version),
            **_origin(config, request.version),
            "GraphDriver": {"Data": {}, "Name": engine.runtime.capabilities.rootfs},
            "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
            "Metadata": {"LastTagTime": image.tagged or timestamps.ZERO},
        }
    )


def _origin(config: Mapping[str, Any], version: tuple[int, int]) -> dict[str, Any]:
    """The container that an image was committed of, as older versions of the API say it."""
    if version >= _WITHOUT_CONTAINER:
        return {}
    named = {"Container": config["container"]} if config.get("container") else {}
    return named | {"ContainerConfig": {**_SHOWN, **(config.get("container_config") or {})}}


def _comment(config: Mapping[str, Any]) -> str:
    history = config.get("history") or [{}]
    return str(config.get("comment") or history[-1].get("comment") or "")


def history(engine: Engine, request: Request) -> Response:
    """GET /images/{name}/history"""
    image = engine.store.get(request.params["name"])
    known = {one.id: one for one in engine.store.images()}
    layers = iter(image.layers)
    lines: list[dict[str, Any]] = []
    for line in image.config.get("history") or [{} for _ in image.layers]:
        layer = None if line.get("empty_layer") else next(layers, None)
        lines.append(
            {
                "Comment": str(line.get("comment") or ""),
                "Created": _unix(str(line.get("created") or "")) // 1_000_000_000,
                "CreatedBy": str(line.get("created_by") or ""),
                "Id": _MISSING,
                "Size": layer.files_size if layer else 0,
                "Tags": None,
            }
        )
    lines.reverse()
    # An image that was committed here is known at its line, and so are those below it.
    one, place = image, 0
    while lines and place < len(lines):
        lines[place] |= {"Id": one.id, "Tags": one.tags or None}
        if not one.parent or one.parent not in known:
            break
        above = len(one.config.get("history") or ())
        one = known[one.parent]
        place += above - len(one.config.get("history") or ())
    return Answer(lines)


def tag(engine: Engine, request: Request) -> Response:
    """POST /images/{name}/tag"""
    repository, name = request.query.text("repo"), request.query.text("tag")
    engine.store.tag(request.params["name"], tagged(repository, name))
    return Answer(status=201)


def remove(engine: Engine, request: Request) -> Response:
    """DELETE /images/{name}"""
    query = request.query
    removed = engine.store.remove(
        request.params["name"], force=query.flag("force"), no_prune=query.flag("noprune"), uses=engine.uses
    )
    engine.store.collect()
    return Answer(removed)


def prune(engine: Engine, request: Request) -> Response:
    """POST /images/prune"""
    filters = parse(request.query.text("filters"), _PRUNED)
    dangling, until = filters.flag("dangling"), until_of(filters, 500)

    def is_wanted(image: Image) -> bool:
        if until is not None and _nanoseconds(image) > until:
            return False
        return filters.has_labels(image.labels) and filters.lacks_labels(image.labels)

    removed, freed = engine.store.prune(dangling=dangling is not False, uses=engine.uses, wanted=is_wanted)
    engine.store.collect()
    engine.events.emit("image", "prune", "", {"reclaimed": str(freed)})
    return Answer({"ImagesDeleted": removed or None, "SpaceReclaimed": freed})


def load(engine: Engine, request: Request) -> Response:
    """POST /images/load"""
    messages = engine.store.load(request.body)
    if request.query.flag("quiet"):
        messages = (message for message in messages if "status" not in message)
    return Stream(json_lines.lines(messages), "application/json")


def save(engine: Engine, request: Request) -> Response:
    """GET /images/get and GET /images/{name}/get"""
    names = [request.params["name"]] if "name" in request.params else request.query.all("names")
    if not names:
        raise UsageError("names is required: which images to save")
    asked = json_shapes.read(request.query.json("platform") or {}, _PLATFORM)
    for image, _ in [found for name in names for found in engine.store.named(name)] if asked else ():
        if any(asked.get(name) not in (None, "", image.config.get(name)) for name in asked):
            platform = "/".join(asked[name] for name in ("os", "architecture", "variant") if asked.get(name))
            raise EngineError(f"no suitable export target found for platform {platform}", status=500)
    return Stream(engine.store.save(names), TAR)


def create(engine: Engine, request: Request) -> Response:
    """POST /images/create: a pull, or an import."""
    query = request.query
    source = query.text("fromSrc")
    if not source:
        return registry.pull(engine, request)
    if source != "-":
        raise EngineError("this engine imports what it is sent (fromSrc=-), not what lies at a URL", status=501)
    repository, name = query.text("repo"), query.text("tag")
    wanted = (f"{repository}:{name}" if name else repository) or None
    changes = query.all("changes")
    image = engine.store.import_(
        request.body, wanted, changes=changes, message=query.text("message"), platform=query.text("platform")
    )
    return Stream(json_lines.lines(iter([{"status": image.id}])), "application/json")


def search(engine: Engine, request: Request) -> Response:
    """GET /images/search"""
    raise EngineError(_NO_SEARCH, status=501)


def _seconds(image: Image) -> int:
    return _nanoseconds(image) // 1_000_000_000


def _nanoseconds(image: Image) -> int:
    return _unix(image.created)


def _unix(text: str) -> int:
    """Nanoseconds since 1970; 0 for what is no point in time."""
    try:
        return timestamps.nanoseconds(text)
    except ValueError:
        return 0


ROUTES = (
    Route("GET", "/images/json", list_),
    Route("GET", "/images/search", search),
    Route("GET", "/images/get", save),
    Route("POST", "/images/load", load),
    Route("POST", "/images/create", create),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name:path}/json", inspect),
    Route("GET", "/images/{name:path}/history", history),
    Route("GET", "/images/{name:path}/get", save),
    Route("POST", "/images/{name:path}/tag", tag),
    Route("DELETE", "/images/{name:path}", remove),
)
