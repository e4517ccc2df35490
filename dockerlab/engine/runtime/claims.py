"""Who has which address of the machine's loopback: told by sockets in the abstract namespace of unix sockets (unix(7)).

Several engines may share a loopback, one a user, and containers outlive theirs. So an address is claimed twice: by the engine, from when it
chooses it, and by the monitor, for as long as the container lives. Like the loopback, the abstract namespace belongs to a network
namespace, and a claim goes with its process, however that ends.
"""

from __future__ import annotations

import errno
import socket


def for_engine(address: str) -> socket.socket | None:
    """Claims an address that nobody has; None where an engine or a container has it. Closing the socket gives it up. Raises OSError."""
    own = _bound(f"dockerlab/{address}")
    if own is None:
        return None
    container = for_monitor(address)
    if container is None:
        own.close()
        return None
    container.close()
    return own


def for_monitor(address: str) -> socket.socket | None:
    """Claims a container's address; None where another container shares it. Raises OSError."""
    return _bound(f"dockerlab/{address}/container")


def _bound(name: str) -> socket.socket | None:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found.bind(f"\0{name}")
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return found
