"""`kubernetes`: an image handed over to Kubernetes, as a Deployment and a Service. dockerlab speaks to no cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab import reference
from dockerlab.client import Client, connect
from dockerlab.errors import ArchiveError, UsageError
from dockerlab.faces import markup
from dockerlab.faces.shown import Shown
from dockerlab.image import kubernetes as objects
from dockerlab.images.model import Image
from dockerlab.images.store import Name, get


@dataclass(frozen=True, repr=False)
class Manifests(Shown):
    """deployment, service: as the Kubernetes API has them. image: the reference that the nodes pull. notes: what stands in the way of
    that, and what else is to be known. file: where it was written, or None.
    """

    deployment: dict[str, Any]
    service: dict[str, Any]
    image: str
    notes: tuple[str, ...] = ()
    file: Path | None = None

    @property
    def yaml(self) -> str:
        """Both, as `kubectl apply -f` reads them."""
        return objects.as_yaml(self.deployment, self.service)

    @property
    def command(self) -> str:
        """What gives it to a cluster."""
        return f"kubectl apply -f {self.file.name if self.file else '-'}"

    def _text(self) -> str:
        spec, ports = self.deployment["spec"], self.service["spec"]["ports"]
        many = f"{spec['replicas']} replicas" if spec["replicas"] != 1 else "1 replica"
        where = ", ".join(str(objects.Port(one["port"], one["protocol"])) for one in ports)
        name = self.deployment["metadata"]["name"]
        return f"Deployment {name} of {many}, and Service {name} on port {where}"

    def _table(self) -> str:
        return "\n".join([self.yaml, *(f"# {note}" for note in self.notes)]).rstrip()

    def _html(self) -> str:
        written = f"written to {markup.code(self.file.name)}" if self.file else ""
        notes = "".join(f"<p>{markup.text(note)}</p>" for note in self.notes)
        shown = markup.volatile(f"<pre>{markup.text(self.yaml)}</pre>{notes}")
        return markup.page(markup.head(markup.text(self._text()), written), shown, f"<p>{markup.code(self.command)}</p>")


def kubernetes(
    image: Name,
    *,
    replicas: int = 1,
    ports: Iterable[str | int] = (),
    name: str | None = None,
    service_type: str = "ClusterIP",
    file: str | os.PathLike[str] | None = None,
    client: Client | None = None,
) -> Manifests:
    """A Deployment and a Service for an image of an engine.

    ports: where the app listens, `5000` or `53/udp`; else those that the image exposes. name: of both objects, else the repository's.
    service_type: ClusterIP, NodePort or LoadBalancer. file: is written, too; one that is there is replaced.

    What has a registry's name and was pushed or pulled is named by its digest, too: each node gets just that image. Raises NotFound;
    UsageError for what Kubernetes would not take; ArchiveError where the file cannot be written.
    """
    if replicas < 0:
        raise UsageError(f"there are no {replicas} replicas", hint="0 or more.")
    if service_type not in objects.SERVICE_TYPES:
        raise UsageError(
            f"Kubernetes has no Service of type '{service_type}'", hint=f"There are: {', '.join(objects.SERVICE_TYPES)}."
        )
    found = get(image, client=client or connect())
    if not found.tags:
        raise UsageError(
            f"image '{found.name}' has no name, and a cluster pulls by name", hint="`%image tag` gives it one: REGISTRY/app:1."
        )
    found.reload()
    configuration = found.attrs.get("Config") or {}
    wanted = tuple(dict.fromkeys(objects.port(one) for one in ports)) or objects.exposed(configuration)
    if not wanted:
        raise UsageError("on which port does the app listen? The image exposes none", hint="Say it: `--port 5000`.")
    named = reference.parse(found.name)
    system = str(found.attrs.get("Os") or "linux")
    pulled = f"{named.familiar}@{found.digests[0]}" if found.digests and _is_in_registry(named) else named.familiar
    deployment, service = objects.manifests(
        objects.checked_name(name) if name else objects.name(named.familiar_name),
        pulled,
        wanted,
        replicas=replicas,
        service_type=service_type,
        system=system,
        architecture=str(found.attrs.get("Architecture") or ""),
    )
    made = Manifests(deployment, service, pulled, tuple(_notes(found, named)), Path(file).expanduser() if file else None)
    if made.file:
        _write(made.file, made.yaml)
    return made


def _is_in_registry(named: reference.Reference) -> bool:
    """Whether it has a name by which it can be pushed. Some engines have digests of all images."""
    return named.domain != "localhost" and not (named.domain == reference.DEFAULT_DOMAIN and named.path.startswith("library/"))


def _notes(image: Image, named: reference.Reference) -> Iterable[str]:
    if not image.digests or not _is_in_registry(named):
        yield (
            f"The nodes pull {named.familiar} from {named.domain}. If it is only here, give it the name of a registry that they reach: "
            "`%image tag`, `%image push`, then once more."
        )
    if image.stand_in is not None:
        yield f"{named.familiar} is a stand-in, made from this machine's files: show with it, deploy the real one."
    if (image.attrs.get("Config") or {}).get("Healthcheck"):
        yield "Kubernetes does not heed HEALTHCHECK; a replica gets requests once its port answers."


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArchiveError(
            f"cannot write '{file}': {error.strerror}", hint="Name a file in a folder that can be written to."
        ) from error
