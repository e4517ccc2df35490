"""Where a published port is reached: by programs in the kernel (`address_of`), and by the page that shows the notebook (`url_of`).

plain Jupyter                            http://127.0.0.1:PORT/
an engine on another host                http://HOST:PORT/
JupyterHub or Binder, a local engine     PREFIX/proxy/PORT/, by jupyter-server-proxy
DOCKERLAB_PORT_URL is set                that template, with {port} and {host} filled in
"""

from __future__ import annotations

from collections.abc import Mapping

from dockerlab.containers.ports import Published
from dockerlab.endpoints import Endpoint

_ANY = ("", "0.0.0.0", "::")


def address_of(published: Published, endpoint: Endpoint) -> tuple[str, int]:
    """(host, port) for a program on this machine."""
    ip = published.host_ip
    host = endpoint.host if ip in _ANY or not endpoint.is_local else ip
    return host, int(published.host_port)


def url_of(published: Published, endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The URL for the notebook's page; with a slash at its end, which proxies need."""
    host, port = address_of(published, endpoint)
    shown = f"[{host}]" if ":" in host else host
    if template := environ.get("DOCKERLAB_PORT_URL"):
        return template.replace("{port}", str(port)).replace("{host}", shown)
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix and endpoint.is_local:
        return f"{prefix.rstrip('/')}/proxy/{port}/"
    return f"http://{shown}:{port}/"


def shown(p: Published) -> str:
    """How a published port is written for people: `8080→5000`, `8080→5000/udp`."""
    return f"{p.host_port}→{p.port}" + ("" if p.protocol == "tcp" else f"/{p.protocol}")
