"""What BuildKit asks a client for by its session, besides files: the methods' paths and their messages.

Follows moby/buildkit: session/auth/auth.proto, session/secrets/secrets.proto, session/sshforward/ssh.proto, and grpc.health.v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dockerlab.wire.protobuf import binary, integer, mapping, string

FILE_SYNC: Final = "/moby.filesync.v1.FileSync/DiffCopy"
FILE_SEND: Final = "/moby.filesync.v1.FileSend/DiffCopy"
CREDENTIALS: Final = "/moby.filesync.v1.Auth/Credentials"
GET_SECRET: Final = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK_AGENT: Final = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT: Final = "/moby.sshforward.v1.SSH/ForwardAgent"
HEALTH: Final = "/grpc.health.v1.Health/Check"

SERVING: Final = 1


@dataclass(frozen=True, slots=True)
class CredentialsRequest:
    """host: of a registry, as BuildKit names it."""

    host: str = string(1)


@dataclass(frozen=True, slots=True)
class CredentialsResponse:
    """Empty: none are known. With a secret alone it is an identity token."""

    username: str = string(1)
    secret: str = string(2)

    def __repr__(self) -> str:
        return "CredentialsResponse(…)"


@dataclass(frozen=True, slots=True)
class GetSecretRequest:
    """id: as `--mount=type=secret,id=…` names it."""

    id: str = string(1)
    annotations: Mapping[str, str] = mapping(2, str)


@dataclass(frozen=True, slots=True)
class GetSecretResponse:
    """data: the secret, at most 500 KB."""

    data: bytes = binary(1)

    def __repr__(self) -> str:
        return "GetSecretResponse(…)"


@dataclass(frozen=True, slots=True)
class CheckAgentRequest:
    """id: as `--mount=type=ssh,id=…` names it; "default" unless it does."""

    id: str = string(1)


@dataclass(frozen=True, slots=True)
class BytesMessage:
    """A piece of what an agent and its user say to each other."""

    data: bytes = binary(1)


@dataclass(frozen=True, slots=True)
class HealthCheckResponse:
    """status: SERVING."""

    status: int = integer(1)
