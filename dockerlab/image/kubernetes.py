"""An image's configuration → the Deployment and the Service that run it on Kubernetes. Pure; no engine, no cluster.

The fields are those of the API's versions `apps/v1` and `v1`
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/,
https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.errors import UsageError

SERVICE_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
# A Service's name is a label of RFC 1035: it stands in host names.
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_NO_NAME: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, order=True)
class Port:
    """number: 1 to 65535, where the app listens. protocol: TCP, UDP or SCTP."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return str(self.number) if self.protocol == "TCP" else f"{self.number}/{self.protocol.lower()}"


def port(given: str | int) -> Port:
    """`5000`, `53/udp`. Raises UsageError."""
    number, _, protocol = str(given).partition("/")
    protocol = protocol.upper() or "TCP"
    if not number.isdecimal() or not 0 < int(number) < 65536 or protocol not in _PROTOCOLS:
        raise UsageError(f"'{given}' is no port", hint="A number from 1 to 65535, such as 5000, or with its protocol: 53/udp.")
    return Port(int(number), protocol)


def exposed(configuration: Mapping[str, Any]) -> tuple[Port, ...]:
    """The ports that an image says with EXPOSE."""
    return tuple(sorted(port(one) for one in configuration.get("ExposedPorts") or {}))


def name(text: str) -> str:
    """What objects made of `text`, such as an image's repository, are called. Raises UsageError where nothing is left of it."""
    made = _NO_NAME.sub("-", text.rpartition("/")[2].lower()).strip("-0123456789")[:63].rstrip("-")
    if not made:
        raise UsageError(f"'{text}' gives no name for Kubernetes", hint="Give one: `--name app`.")
    return made


def checked_name(text: str) -> str:
    """`text`, if Kubernetes takes it for a Service's name. Raises UsageError."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"Kubernetes takes no name '{text}'",
            hint="Small letters, digits and hyphens, at most 63; it begins with a letter and ends with a letter or a digit.",
        )
    return text


def manifests(
    name: str,
    image: str,
    ports: Sequence[Port],
    *,
    replicas: int = 1,
    service_type: str = "ClusterIP",
    system: str = "linux",
    architecture: str = "",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Deployment and a Service, as the API has them.

    image: the reference by which a node pulls it. ports: at least one; a TCP one is asked before a replica gets requests. system,
    architecture: as Docker names them, which is how Kubernetes labels its nodes; a replica runs on such ones only.
    """
    labels = {"app.kubernetes.io/name": name}
    selected = {"kubernetes.io/os": system, **({"kubernetes.io/arch": architecture} if architecture else {})}
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "ports": [{"containerPort": one.number, "protocol": one.protocol} for one in ports],
    }
    if (asked := next((one for one in ports if one.protocol == "TCP"), None)) is not None:
        container["readinessProbe"] = {"tcpSocket": {"port": asked.number}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"nodeSelector": selected, "containers": [container]}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "type": service_type,
            "selector": labels,
            "ports": [
                {
                    "name": f"{one.protocol.lower()}-{one.number}",
                    "port": one.number,
                    "targetPort": one.number,
                    "protocol": one.protocol,
                }
                for one in ports
            ],
        },
    }
    return deployment, service


def as_yaml(*objects: Mapping[str, Any]) -> str:
    """The objects as documents of one file, in the order in which they are written here."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True  # what stands in several places is written in each

    return "---\n".join(yaml.dump(dict(one), Dumper=Dumper, sort_keys=False) for one in objects)
