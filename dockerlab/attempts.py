"""Why an engine does not answer: what was met at its address → what it means, and what to do about it. Pure.

    attempt(endpoint, error, 10) → Attempt(endpoint, "ssh failed: it does not let you in: …", "Give it your key: `ssh-copy-id …`.")

docker-py wraps a cause several exceptions deep, so the chain is searched. What is known: a socket that is not there, that nobody listens
at, that is not yours; a name that nobody knows, a host without a way to it, one that is silent; by ssh keys, hosts' keys, and what is
missing at the other end; by TLS each way in which a certificate can be wrong, at either end; what is no engine, or too old a one.
"""

from __future__ import annotations

import errno
import re
import shlex
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import docker.errors
import requests
import urllib3
from docker.constants import MINIMUM_DOCKER_API_VERSION

from dockerlab.endpoints import Endpoint
from dockerlab.errors import printable
from dockerlab.transport import SSHError, ssh_command


@dataclass(frozen=True)
class Attempt:
    """An endpoint that was tried, what it said, and what to do about it."""

    endpoint: Endpoint
    answer: str
    hint: str

    def __str__(self) -> str:
        return f"{self.endpoint}  ({self.endpoint.source}): {self.answer}"


NO_SOCKET: Final = "no socket there"
_START: Final = {
    "linux": "Start it (`sudo systemctl start docker`, or `podman system service --time=0` for Podman)",
    "darwin": "Start Docker Desktop",
    "win32": "Start Docker Desktop",
}
_ADDRESS: Final = "Check the address: unix:///path/to.sock, tcp://host:2376 or ssh://user@host."
_UNROUTABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_TOO_OLD: Final = "dockerlab wants Docker Engine 20.10 or newer, or Podman 4"

# What `ssh`, or the `docker` at its other end, complains of; the first that fits. {user}, {host}, {port}, {there}: of the address;
# {0}: what the pattern caught.
_SSH: Final = (
    (
        r"Could not resolve hostname",
        "the host's name is not known",
        "Is it spelt right? Is it one of your network alone, behind a VPN? `~/.ssh/config` may give it another: `ssh -G {host}`.",
    ),
    (
        r"connect to host .*: (?:Connection refused)",
        "nothing listens at port {port} of that host",
        "Does sshd run there, and at this port? Another one: ssh://{user}{host}:PORT. See: `{there}`.",
    ),
    (
        r"No route to host|Network is unreachable|timed out",
        "the host is not reached",
        "Is it on, is this machine online, does it take a VPN? A firewall in between may drop what it does not know. "
        "See: `{there}`.",
    ),
    (
        r"IDENTIFICATION HAS CHANGED[\s\S]*?(ssh-keygen -f .* -R .*)",
        "the host's key is another one than before",
        "Was that host set up anew? Ask who runs it, by another way: else somebody stands in between. Only then forget the old key, "
        "`{0}`, and take the new one: `ssh {user}{host}`.",
    ),
    (
        r"IDENTIFICATION HAS CHANGED|Host key .* has changed",
        "the host's key is another one than before",
        "Was that host set up anew? Ask who runs it, by another way: else somebody stands in between. `ssh-keygen -R {host}` forgets the "
        "old key.",
    ),
    (
        r"Host key verification failed|host key is known",
        "the host is not known yet",
        "Log in once in a terminal, compare the key's fingerprint with what its administrator says, and say yes: "
        "`ssh -p {port} {user}{host}`. After that it must come in without being asked (a key, an agent).",
    ),
    (
        r"Permission denied \((.*?)\)|Too many authentication failures",
        "it does not let you in",
        "It must come in without being asked (a key, an agent). Give it your key: `ssh-copy-id -p {port} {user}{host}`; see which keys are "
        "offered: `ssh-add -l`, `{there}`.",
    ),
    (
        r"(?:docker: (?:command )?not found|docker: No such file|docker: not found)",
        "there is no `docker` command on that host",
        "Install one there; it must be on the PATH of a shell that nobody logs in to: `ssh {user}{host} which docker`.",
    ),
    (
        r"is not a docker command|unknown command|unknown flag",
        "the `docker` command on that host is too old",
        f"It needs `docker system dial-stdio`, which came with 18.09; {_TOO_OLD}.",
    ),
    (
        r"permission denied",
        "your user there may not use the engine",
        "There: `sudo usermod -aG docker $USER`, then log in anew; or name the socket of a rootless one: ssh://{user}{host}/run/user/1000/docker.sock.",
    ),
    (
        r"no such file or directory|connection refused|Cannot connect to the Docker daemon",
        "no engine answers on that host",
        "There: `sudo systemctl start docker`. Or does it listen elsewhere? ssh://{user}{host}/path/to.sock.",
    ),
)
_COMMAND: Final = re.compile(r"the `(.*)` command cannot be run")

# X509_V_ERR_… of OpenSSL → what is wrong with the engine's certificate.
_CERTIFICATES: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "it made its certificate itself, and {authority} does not know that",
    19: "its certificate is signed by an authority that is not the one in {authority}",
    20: "its certificate is signed by an authority that is not the one in {authority}",
    21: "its certificate is signed by an authority that is not the one in {authority}",
    62: "its certificate is for another name than {host}",
    64: "its certificate is for another address than {host}",
}
_RENEW: Final = "Whoever runs that engine makes a new one; or is this machine's clock wrong? `date` tells."
_NAMES: Final = (
    "Name it as its certificate does: `openssl s_client -connect {address} </dev/null | openssl x509 -noout -ext subjectAltName`."
)


def attempt(endpoint: Endpoint, error: BaseException, seconds: float) -> Attempt:
    """What an endpoint's failure means. seconds: within which an answer was awaited."""
    chain = list(causes(error))

    def met(kind: type[BaseException] | tuple[type[BaseException], ...]) -> BaseException | None:
        return next((e for e in chain if isinstance(e, kind)), None)

    if failed := met(SSHError):
        return _by_ssh(endpoint, str(failed))
    if tls := met((ssl.SSLError, requests.exceptions.SSLError)):
        return _by_tls(endpoint, met(ssl.SSLError) or tls)
    is_socket = endpoint.url.startswith(("unix://", "npipe://"))
    start = _START.get(sys.platform, _START["linux"])
    if met(FileNotFoundError):
        return Attempt(endpoint, NO_SOCKET, f"{start}, or name another engine: `%engine use <url or docker context>`, DOCKER_HOST.")
    if met(PermissionError):
        hint = "Your user may not use this engine: `sudo usermod -aG docker $USER`, then log in again, or use rootless Docker or Podman."
        return Attempt(endpoint, "permission denied", hint)
    if met(socket.gaierror):
        hint = "Is it spelt right? Is this machine online, or is it a name of your network alone, behind a VPN?"
        return Attempt(endpoint, f"the name {endpoint.host} is not known", hint)
    if met(ConnectionRefusedError):
        there = f"The engine is not running on {endpoint.host}, or does not listen at this port. ssh needs no port of the engine's: ssh://user@{endpoint.host}."
        return Attempt(endpoint, "refused: nothing listens there", f"The engine is not running. {start}." if is_socket else there)
    if any(isinstance(e, OSError) and e.errno in _UNROUTABLE for e in chain):
        return Attempt(
            endpoint, "the host is not reached: there is no way to it", "Is it on, is this machine online, does it take a VPN?"
        )
    if met((TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        is_silent = is_socket or not met((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError))
        answer = f"no answer within {seconds:g} s"
        if is_silent:
            return Attempt(endpoint, answer, "Is the engine overloaded, or a firewall in between?")
        return Attempt(
            endpoint, f"{answer}: the host is not reached", "Is it on? A firewall in between may drop what it does not know."
        )
    if met(docker.errors.InvalidVersion):
        return Attempt(
            endpoint, f"the engine is too old: it has no API {MINIMUM_DOCKER_API_VERSION}", f"{_TOO_OLD}: update it there."
        )
    return _no_engine(endpoint, chain)


def _no_engine(endpoint: Endpoint, chain: list[BaseException]) -> Attempt:
    """Something answers, and not as an engine does."""
    said = " ".join(str(e) for e in chain)
    is_plain = endpoint.url.startswith(("tcp://", "http://")) and endpoint.tls is None
    if is_plain and ("HTTP request to an HTTPS server" in said or any(isinstance(e, ConnectionResetError) for e in chain)):
        hint = "It may want TLS: `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH`, a folder with ca.pem, cert.pem and key.pem."
        return Attempt(endpoint, "it ended the connection without an answer", hint)
    refused = next((e for e in chain if isinstance(e, docker.errors.APIError)), None)
    if refused is not None and refused.response is not None:
        hint = "What listens there is no engine, or a proxy stands before it: NO_PROXY names hosts that need none."
        return Attempt(endpoint, f"it answers with status {refused.response.status_code}, as no engine does", hint)
    return Attempt(endpoint, printable(str(chain[-1]) or str(chain[0])), _ADDRESS)


def _by_ssh(endpoint: Endpoint, said: str) -> Attempt:
    line = said.strip().splitlines()[-1] if said.strip() else ""
    there = shlex.join([*ssh_command(endpoint.url)[:-1], "docker version"])
    user, host, port = endpoint.login
    facts = {"user": f"{user}@" if user else "", "host": host, "port": port or 22, "there": there}
    if command := _COMMAND.search(said):
        hint = f"Install {command[1]}: `sudo apt-get install openssh-client`; Windows and macOS have it."
        return Attempt(endpoint, f"ssh failed: {line}", hint)
    for pattern, means, hint in _SSH:
        if found := re.search(pattern, said):
            caught = [group.strip() for group in found.groups(default="")]
            return Attempt(endpoint, f"ssh failed: {means.format(*caught, **facts)}: {line}", hint.format(*caught or [""], **facts))
    return Attempt(endpoint, f"ssh failed: {line}", f"It must come in without being asked (a key, an agent). See: `{there}`.")


def _by_tls(endpoint: Endpoint, error: BaseException) -> Attempt:
    authority = (endpoint.tls.ca_cert if endpoint.tls else None) or "the usual authorities"
    facts = {"authority": authority, "host": endpoint.host, "address": endpoint.url.partition("://")[2]}
    where = f"The certificates here: {endpoint.certificates}."
    reason = str(getattr(error, "reason", "") or "")
    said = printable(str(error))
    code = getattr(error, "verify_code", 0)
    if isinstance(error, ssl.SSLCertVerificationError):
        means = _CERTIFICATES.get(code, f"its certificate is not trusted: {error.verify_message}").format(**facts)
        hint = (
            _RENEW
            if code in (9, 10)
            else _NAMES.format(**facts)
            if code in (62, 64)
            else f"Take ca.pem from who runs it. {_place(endpoint)}"
        )
        return Attempt(endpoint, f"TLS failed: {means}", hint)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        hint = (
            "Without TLS anybody who reaches that port owns its host: better ssh://user@host. To go on so: unset DOCKER_TLS_VERIFY."
        )
        return Attempt(endpoint, "TLS failed: it speaks none at this port", hint)
    if "ALERT" in reason or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        expired = "your certificate has expired" if "EXPIRED" in reason else "it does not take your certificate"
        return Attempt(
            endpoint, f"TLS failed: {expired}", f"cert.pem and key.pem must be of an authority that the engine knows. {where}"
        )
    return Attempt(endpoint, f"TLS failed: {said}", f"Check DOCKER_TLS_VERIFY and the certificates. {where}")


def _place(endpoint: Endpoint) -> str:
    """Where the certificates belong, for people."""
    if "context" in endpoint.source.lower():
        return "`docker context update NAME --docker host=…,ca=…,cert=…,key=…` takes it into the context."
    return "DOCKER_CERT_PATH names its folder."


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and the exceptions that it carries as arguments (urllib3 does), outermost first."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or any(current is s for s in seen):
            continue
        seen.append(current)
        yield current
        waiting += [a for a in (*current.args, getattr(current, "reason", None)) if isinstance(a, BaseException)]
        waiting += [current.__cause__, current.__context__]
