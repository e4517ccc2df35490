"""`docker run --link` on the default bridge: what a container learns of another through its environment. Pure.

    WEB_NAME=/me/web   WEB_PORT=tcp://127.18.0.2:80   WEB_PORT_80_TCP_ADDR=127.18.0.2   WEB_ENV_GREETING=hello   …

Docker keeps these for programs from before there were user networks; where containers find each other by name nothing needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NOT_PASSED_ON = ("HOME", "PATH")


@dataclass(frozen=True)
class Link:
    """other: the id of the container that is linked to. alias: what it is called here. address: where it is."""

    other: str
    alias: str
    address: str


def environment(link: Link, name: str, ports: Iterable[str], variables: Iterable[str]) -> Iterator[str]:
    """Variables for the container `name`. ports: those that the other exposes, "80/tcp"; variables: the other's own."""
    prefix = link.alias.upper().replace("-", "_")
    exposed = sorted((int(number), protocol or "tcp") for number, _, protocol in (port.partition("/") for port in ports))
    default = next(((number, protocol) for number, protocol in exposed if protocol == "tcp"), next(iter(exposed), None))
    if default:
        yield f"{prefix}_PORT={default[1]}://{link.address}:{default[0]}"
    for number, protocol in exposed:
        one = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{one}={protocol}://{link.address}:{number}"
        yield f"{one}_ADDR={link.address}"
        yield f"{one}_PORT={number}"
        yield f"{one}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{name}/{link.alias}"
    for variable in variables:
        key, equals, value = variable.partition("=")
        if equals and key not in _NOT_PASSED_ON:
            yield f"{prefix}_ENV_{key}={value}"
