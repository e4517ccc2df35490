"""Engines that are one: Docker's Swarm. `init` makes one of an engine, `join` adds others, and services run on all of them.

    swarm.init()                        Membership: the node, and what others join with
    swarm.join("10.0.0.1:2377", token)
    swarm.nodes()                       Nodes: names, states, roles
    swarm.drain("node2")                its tasks move to other nodes; activate() takes it back
    swarm.promote("node2")              to a manager; demote()
    swarm.leave(force=True)
    swarm.secrets.create("db", password)     Kept; ls, get, rm; the same for swarm.configs

Each takes `client=`, else asks the engine that `connect()` finds. All but `join` and `leave` want a manager. What runs on a Swarm is in
`dockerlab.services`.

- `membership`: what an engine is of a Swarm; `nodes`: the engines of one; `kept`: its secrets and configs
- `refusals`: what an engine says instead, mapped to `SwarmError`
"""

from __future__ import annotations

from dockerlab.swarm.kept import Kept, KeptList, configs, secrets
from dockerlab.swarm.membership import Left, Membership, init, join, leave, membership, tokens
from dockerlab.swarm.nodes import Node, Nodes, activate, demote, drain, nodes, pause, promote
from dockerlab.swarm.refusals import swarm_errors

__all__ = [
    "Kept",
    "KeptList",
    "Left",
    "Membership",
    "Node",
    "Nodes",
    "activate",
    "configs",
    "demote",
    "drain",
    "init",
    "join",
    "leave",
    "membership",
    "nodes",
    "pause",
    "promote",
    "secrets",
    "swarm_errors",
    "tokens",
]
