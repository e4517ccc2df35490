"""Engines that are in no Swarm, or have none: each says what is missing and what to do, by magic and by function.

None is made on these engines, which others use, too: `tests/test_swarm.py` has engines of its own.
"""

from __future__ import annotations

import pytest

from dockerlab import services, swarm
from dockerlab.client import Client
from dockerlab.errors import SwarmError
from dockerlab.testing.shell import Shell

pytestmark = pytest.mark.contract


def test_what_wants_a_swarm_says_what_is_missing(client: Client) -> None:
    assert repr(swarm.membership(client=client)) == "this engine is in no Swarm"
    if client.is_podman:
        missing = "Podman has no Swarm"
    elif client.version()["Platform"]["Name"] == "dockerlab engine":
        missing = "dockerlab's own engine has no Swarm"
    else:
        missing = "this engine is in no Swarm"
    with Shell() as shell:
        for line in ("%swarm nodes", "%service ls", "%service show web", "%swarm secret ls", "%swarm join-token worker"):
            with pytest.raises(SwarmError, match=missing) as caught:
                shell.run(line)
            assert caught.value.hint
    with pytest.raises(SwarmError, match=f"^cannot create a service of busybox: {missing}"):
        services.create("busybox", no_resolve_image=True, client=client)
    if missing != "this engine is in no Swarm":
        with pytest.raises(SwarmError, match=f"^cannot make a Swarm: {missing}"):
            swarm.init(client=client)
        with pytest.raises(SwarmError, match=f"^cannot join the Swarm: {missing}"):
            swarm.join("127.0.0.1", "token", client=client)
