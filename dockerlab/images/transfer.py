"""`pull` and `ensure`: images from a registry, with progress, and cancelled in the engine by an interrupt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import docker.auth

from dockerlab import reference as references
from dockerlab.client import Client, connect
from dockerlab.errors import EngineError, NotFound
from dockerlab.images.model import Image
from dockerlab.images.refusal import refusal
from dockerlab.images.store import get, is_id
from dockerlab.images.values import PullProgress
from dockerlab.reference import Reference
from dockerlab.stream import streaming
from dockerlab.wire.trace import Status

Report = Callable[[PullProgress], object]

_TICK = 0.1  # seconds between two reports: at most ten a second
_ENDED = ("Pull complete", "Already exists")


def pull(reference: str, *, platform: str | None = None, progress: Report | None = None, client: Client | None = None) -> Image:
    """Fetches an image from its registry; without a tag, `latest`.

    platform: "os/arch[/variant]". progress: is called in this thread, at most ten times a second, and once at the end.
    Credentials are those of `docker login`. An interrupt (KeyboardInterrupt) cancels the pull in the engine.

    Raises InvalidReference; NotFound (no such image, or a private one, or not for the platform); RegistryUnreachable; EngineError.
    """
    image = references.parse(reference)
    client = client or connect()
    said = _pull(image, platform, progress or (lambda so_far: None), client)
    if said is not None:
        raise refusal(image, said, platform)
    return get(image.familiar, client=client)


def ensure(reference: str, *, platform: str | None = None, progress: Report | None = None, client: Client | None = None) -> Image:
    """The image of that name, pulled if the engine has none, or has it for another platform. Raises as `get` and `pull`."""
    client = client or connect()
    try:
        image = get(reference, client=client)
    except NotFound:
        if is_id(reference):
            raise
    else:
        if platform is None or _is_for(image, platform):
            return image
    return pull(reference, platform=platform, progress=progress, client=client)


def follow(layers: Mapping[str, Status], message: Mapping[str, Any], reference: str, now: float) -> dict[str, Status]:
    """The layers of a pull after one more message of the engine. Pure. now: seconds since the epoch."""
    name, status = message.get("id"), message.get("status", "")
    detail = message.get("progressDetail")
    # Lines about the whole pull have no detail, and an id that is a tag.
    if not name or detail is None or not status:
        return dict(layers)
    before = layers.get(name) or Status(id=name, vertex=reference, name=status, started=now)
    if status in _ENDED:
        after = replace(before, name=status, current=before.total, completed=before.completed or now)
    elif status == "Download complete" or "units" in detail:  # unpacking in the containerd image store counts seconds, not bytes
        after = replace(before, name=status, current=before.total)
    else:
        after = replace(before, name=status, current=detail.get("current") or 0, total=detail.get("total") or before.total)
    return {**layers, name: after}


def _pull(image: Reference, platform: str | None, report: Report, client: Client) -> str | None:
    """Runs one pull; gives what went wrong in it, in the engine's words, or None. Raises what its HTTP answer means."""
    name, layers, error = image.familiar, dict[str, Status](), None
    try:
        with streaming(client, "POST", "/images/create", doing=f"pull '{name}'", **_request(image, platform, client)) as stream:
            reported = 0.0
            for message in stream.messages(_TICK):
                now = time.time()
                if message:
                    layers = follow(layers, message, name, now)
                    error = error or message.get("error")
                if now - reported >= _TICK:
                    report(PullProgress(name, tuple(layers.values())))
                    reported = now
    except EngineError as answer:
        said = getattr(answer.__cause__, "explanation", None)
        if said is None:
            raise
        raise refusal(image, str(said), platform, answer.status) from answer
    if error is None:
        ended = time.time()
        layers = {key: replace(layer, current=layer.total, completed=layer.completed or ended) for key, layer in layers.items()}
        report(PullProgress(name, tuple(layers.values()), done=True))
    return None if error is None else str(error)


def _request(image: Reference, platform: str | None, client: Client) -> dict[str, Any]:
    repository = f"{image.domain}/{image.path}"
    params = {"fromImage": repository, "tag": image.digest or image.tag}
    registry, _ = docker.auth.resolve_repository_name(image.familiar_name)
    header = docker.auth.get_config_header(client.api, registry)
    return {
        "params": params | ({"platform": platform} if platform else {}),
        "headers": {"X-Registry-Auth": header} if header else {},
    }


def _is_for(image: Image, platform: str) -> bool:
    """Whether an image is for a platform "os/arch[/variant]", or "arch" alone."""
    parts = platform.lower().split("/")
    has = [str(image.attrs.get(key) or "").lower() for key in ("Os", "Architecture", "Variant")]
    wanted = parts if len(parts) > 1 else ["linux", *parts]
    return has[:2] == wanted[:2] and (len(wanted) < 3 or not has[2] or has[2] == wanted[2])
