"""`pull`, `push`, `push_all` and `ensure`: images from a registry and to one, with progress, and cancelled in the engine by an interrupt.

Podman, unlike Docker, wants TLS also of a registry on its own machine, unless a request says otherwise. So that one notebook does on
every engine, requests for a registry on loopback say so; for a pull by Podman's own API, since its Docker API does not listen.
"""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from dockerlab import ledger
from dockerlab import reference as references
from dockerlab.client import Client, connect
from dockerlab.credentials import HUB_HOST, Credentials
from dockerlab.errors import EngineError, NotFound, UsageError
from dockerlab.faces.transfer import THERE
from dockerlab.images.model import Image
from dockerlab.images.refusal import refusal
from dockerlab.images.registry_values import PushedTags
from dockerlab.images.store import get, is_id, ls
from dockerlab.images.values import PullProgress, Pushed, PushProgress
from dockerlab.reference import DEFAULT_DOMAIN, Reference
from dockerlab.stream import streaming
from dockerlab.wire.trace import Status

Report = Callable[[PullProgress], object]

TICK: Final = 0.1  # seconds between two reports: at most ten a second
_ENDED: Final = ("Pull complete", "Pushed", *THERE)
_DIGEST: Final = re.compile(r"digest: (sha256:[0-9a-f]{64})")
_COPYING: Final = re.compile(r"Copying blob sha256:([0-9a-f]{12})")
_PODMANS: Final = "/libpod/images/pull"  # below any version


def pull(reference: str, *, platform: str | None = None, progress: Report | None = None, client: Client | None = None) -> Image:
    """Fetches an image from its registry; without a tag, `latest`.

    platform: "os/arch[/variant]". progress: is called in this thread, at most ten times a second, and once at the end.
    Credentials are those of `docker login`. An interrupt (KeyboardInterrupt) cancels the pull in the engine.

    Raises InvalidReference; NotFound (no such image, or a private one, or not for the platform); RegistryUnreachable; EngineError.
    """
    image = references.parse(reference)
    client = client or connect()
    _run(_Transfer(image, "pull", client, progress or (lambda so_far: None), platform))
    found = get(image.familiar, client=client)
    client.api.note(ledger.tag(image.familiar), ledger.Entry("image", str(found.id)))
    return found


def push(reference: str, *, progress: Report | None = None, client: Client | None = None) -> Pushed:
    """Sends an image to the registry that its name begins with (Docker Hub, if with none); without a tag, `latest`.

    progress, credentials and an interrupt are as in `pull`.

    Raises InvalidReference; NotFound where the engine has no such image; RegistryUnreachable; EngineError (denied, …).
    """
    image = references.parse(reference)
    if image.digest or not image.tag:
        raise UsageError(f"cannot push '{reference}': a digest follows from the content", hint="Push a tag: name:tag.")
    client = client or connect()
    get(image.familiar, client=client)
    digest = _run(_Transfer(image, "push", client, progress or (lambda so_far: None)))
    if not digest:
        raise EngineError(f"cannot push '{image.familiar}': the engine does not say under which digest the registry has it")
    return Pushed(image.familiar, digest)


def push_all(repository: str, *, progress: Report | None = None, client: Client | None = None) -> PushedTags:
    """Sends all tags that the engine has of a repository, one after the other: `docker push --all-tags`, on every engine.

    repository: without a tag. What was pushed before an error stays pushed. Otherwise as `push`.
    """
    image = references.parse(repository)
    if image.digest or ":" in repository.rpartition("/")[2]:
        raise UsageError(
            f"'{repository}' names one image, and all tags were asked for", hint=f"Name it without: {image.familiar_name}"
        )
    client = client or connect()
    names = [references.parse(tag) for found in ls(image.familiar_name, client=client) for tag in found.tags]
    tags = sorted({one.familiar for one in names if (one.domain, one.path) == (image.domain, image.path) and one.tag})
    if not tags:
        hint = f"`%image tag IMAGE {image.familiar_name}:TAG` gives an image such a name."
        raise NotFound(f"the engine has no image with a tag of '{image.familiar_name}'", hint=hint)
    return PushedTags(image.familiar_name, [push(tag, progress=progress, client=client) for tag in tags])


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
    """The layers of a pull or a push after one more message of the engine. Pure. now: seconds since the epoch."""
    name, status = message.get("id"), message.get("status", "")
    if copying := _COPYING.match(str(message.get("stream", ""))):  # Podman's own API
        name, status = copying[1], "Copying"
    detail = message.get("progressDetail", {} if copying else None)
    # Lines about the whole have no detail, and an id that is a tag.
    if not name or detail is None or not status:
        return dict(layers)
    before = layers.get(name) or Status(id=name, vertex=reference, name=status, started=now)
    if status in _ENDED or status.startswith("Mounted from"):
        after = replace(before, name=status, current=before.total, completed=before.completed or now)
    elif status == "Download complete" or "units" in detail:  # unpacking in the containerd image store counts seconds, not bytes
        after = replace(before, name=status, current=before.total)
    else:
        after = replace(before, name=status, current=detail.get("current") or 0, total=detail.get("total") or before.total)
    return {**layers, name: after}


@dataclass
class _Transfer:
    """One pull or push. doing: "pull" or "push"."""

    image: Reference
    doing: str
    client: Client
    report: Report
    platform: str | None = None
    credentials: Credentials = field(default_factory=lambda: Credentials.found(os.environ))

    @property
    def path(self) -> str:
        if self._is_podmans:
            return _PODMANS
        return "/images/create" if self.doing == "pull" else f"/images/{quote(self._repository, safe='/:')}/push"

    @property
    def request(self) -> dict[str, Any]:
        """Its parameters and headers."""
        image = self.image
        host = HUB_HOST if image.domain == DEFAULT_DOMAIN else image.domain
        params: dict[str, Any] = {"tag": image.digest or image.tag}
        if self._is_podmans:
            params = {"reference": image.canonical, "policy": "always"}
        elif self.doing == "pull":
            params |= {"fromImage": self._repository} | ({"platform": self.platform} if self.platform else {})
        if self.client.is_podman and _is_loopback(image.domain):
            params["tlsVerify"] = "false"
        return {"params": params, "headers": {"X-Registry-Auth": self.credentials.header(host)}}

    @property
    def _repository(self) -> str:
        return f"{self.image.domain}/{self.image.path}"

    @property
    def _is_podmans(self) -> bool:
        return self.doing == "pull" and not self.platform and _is_loopback(self.image.domain) and self.client.is_podman

    def refusal(self, said: str, status: int | None = None) -> EngineError:
        return refusal(self.image, said, self.platform, status, doing=self.doing, problems=self.credentials.problems)

    def progress(self, layers: Mapping[str, Status], *, done: bool = False) -> PullProgress:
        kind = PullProgress if self.doing == "pull" else PushProgress
        return kind(self.image.familiar, tuple(layers.values()), done)


def _run(transfer: _Transfer) -> str:
    """Runs it; gives the digest that the engine says. Raises EngineError."""
    name, layers, error, digest = transfer.image.familiar, dict[str, Status](), None, ""
    with closing(_messages(transfer)) as messages:
        for message in messages:
            if message is None:
                transfer.report(transfer.progress(layers))
                continue
            layers = follow(layers, message, name, time.time())
            error = error or message.get("error")
            if found := _DIGEST.search(str(message.get("status", ""))):
                digest = found[1]
    if error is not None:
        raise transfer.refusal(str(error))
    ended = time.time()
    layers = {key: replace(layer, current=layer.total, completed=layer.completed or ended) for key, layer in layers.items()}
    transfer.report(transfer.progress(layers, done=True))
    return digest


def _messages(transfer: _Transfer) -> Generator[dict[str, Any] | None]:
    """What the engine says, and None when it is time for a report. Raises what its HTTP answer means."""
    doing = f"{transfer.doing} '{transfer.image.familiar}'"
    try:
        with streaming(transfer.client, "POST", transfer.path, doing=doing, **transfer.request) as stream:
            reported = 0.0
            for message in stream.messages(TICK):
                if message:
                    yield message
                if time.time() - reported >= TICK:
                    yield None
                    reported = time.time()
    except EngineError as answer:
        said = getattr(answer.__cause__, "explanation", None)
        if said is None:
            raise
        raise transfer.refusal(str(said), answer.status) from answer


def _is_loopback(domain: str) -> bool:
    """Whether a registry is on the engine's own machine, by its name."""
    host = re.sub(r":\d+$", "", domain).strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_for(image: Image, platform: str) -> bool:
    """Whether an image is for a platform "os/arch[/variant]", or "arch" alone."""
    parts = platform.lower().split("/")
    has = [str(image.attrs.get(key) or "").lower() for key in ("Os", "Architecture", "Variant")]
    wanted = parts if len(parts) > 1 else ["linux", *parts]
    return has[:2] == wanted[:2] and (len(wanted) < 3 or not has[2] or has[2] == wanted[2])
