"""The verbs of `%image` on registries: push, remote, login and logout.

A password comes from a prompt, which a page shows as dots and keeps nowhere, or from a variable that the notebook or the environment
has; never out of the line, which the notebook and its history keep.
"""

from __future__ import annotations

import getpass
import os
from argparse import SUPPRESS, Namespace
from typing import TYPE_CHECKING

from IPython.core.error import StdinNotImplementedError

from dockerlab import images
from dockerlab.errors import EngineError, UsageError
from dockerlab.images import account, registries
from dockerlab.notebook.arguments import Parser
from dockerlab.notebook.live import LiveDisplay

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session

VERBS = ("push", "remote", "login", "logout")


def parsers() -> list[Parser]:
    """One for each verb."""
    push = Parser("%image push", "Sends an image to the registry that its name begins with; without one, to Docker Hub.")
    push.add_argument("image", metavar="IMAGE", help="such as localhost:5000/app:1; `%image tag` gives an image such a name")
    push.add_argument("-a", "--all-tags", action="store_true", help="all tags of it; IMAGE is then without one")
    push.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    remote = Parser("%image remote", "Looks into an image on its registry, without pulling it: platforms, layers, configuration.")
    remote.add_argument("image", metavar="IMAGE")
    remote.add_argument("--platform", metavar="OS/ARCH", help="such as linux/arm64, of an image that is there for several")
    _add_tls_verify(remote)
    login = Parser(
        "%image login",
        "Asks for a password, and keeps it for a registry as `docker login` does, if the registry takes it.",
        epilog="Without -u, what is kept already is tried first.",
    )
    login.add_argument("server", nargs="?", metavar="SERVER", help="such as registry.example:5000; without it, Docker Hub")
    login.add_argument("-u", "--username", metavar="USER", help="asked for, if it is not given")
    login.add_argument(
        "--password-var", metavar="NAME", help="a variable that holds the password: of the notebook, or the environment"
    )
    # Known, so that they are not told as unknown together with a password.
    login.add_argument("-p", "--password", help=SUPPRESS)
    login.add_argument("--password-stdin", action="store_true", help=SUPPRESS)
    _add_tls_verify(login)
    logout = Parser("%image logout", "Forgets the password that is kept for a registry.")
    logout.add_argument("server", nargs="?", metavar="SERVER", help="without it, Docker Hub")
    return [push, remote, login, logout]


def answer(session: Session, verb: str, arguments: Namespace) -> Shown:
    """Does it. verb: one of VERBS."""
    match verb:
        case "push":
            return _push(session, arguments)
        case "remote":
            return images.remote(arguments.image, platform=arguments.platform, insecure=_is_insecure(arguments))
        case "login":
            return _login(session, arguments)
        case _:
            return images.logout(arguments.server)


def _push(session: Session, asked: Namespace) -> Shown:
    push = images.push_all if asked.all_tags else images.push
    with LiveDisplay(session, keep=not asked.all_tags) as live:
        return push(asked.image, progress=None if asked.quiet else live.show, client=session.client)


def _login(session: Session, asked: Namespace) -> Shown:
    if asked.password is not None or asked.password_stdin:
        raise UsageError(
            "a password in a cell stays in the notebook and its history" if asked.password else "a cell has no standard input",
            hint="Leave it out: it is asked for. Or name a variable that holds it: `--password-var NAME`."
            + (" Delete this one from the cell; if others may have seen it, change it." if asked.password else ""),
        )
    server = registries.called(account.registry(asked.server))
    insecure = _is_insecure(asked)
    if asked.password_var is None and asked.username is None and (known := _known(asked.server, insecure)):
        return known
    username = asked.username or _prompt(session, server, f"User at {server}: ", is_secret=False)
    # Never bound to a name here: a traceback with all variables would show it.
    if asked.password_var is not None:
        return images.login(asked.server, username, _variable(session, asked.password_var), insecure=insecure)
    return images.login(
        asked.server, username, _prompt(session, server, f"Password of {username} at {server}: ", is_secret=True), insecure=insecure
    )


def _known(server: str | None, insecure: bool) -> Shown | None:
    """By what is kept already; None where nothing is, or where it is no longer right."""
    try:
        return images.login(server, insecure=insecure)
    except UsageError:
        return None
    except EngineError as error:
        if error.status == 401:
            return None
        raise


def _variable(session: Session, name: str) -> str:
    value = session.namespace.get(name, os.environ.get(name))
    if value is None:
        # The name is not shown: it may be a password in the wrong place.
        raise UsageError(
            "neither the notebook nor the environment has a variable of that name",
            hint="`--password-var NAME` wants the variable's name: its value stays out of the cell.",
        )
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise UsageError(f"the variable is of type {type(value).__name__}; a password is a str")
    return value.removesuffix("\n")


def _prompt(session: Session, server: str, text: str, *, is_secret: bool) -> str:
    """What somebody types. Raises UsageError where nobody can."""
    try:
        return getpass.getpass(text) if is_secret else input(text).strip()
    except (StdinNotImplementedError, EOFError) as error:
        raise UsageError(
            f"nobody is there who could type the password for {server}",
            hint="Where a notebook runs by itself: `%image login SERVER -u USER --password-var NAME`, with the password in a variable.",
        ) from error


def _add_tls_verify(parser: Parser) -> None:
    parser.add_argument(
        "--tls-verify",
        nargs="?",
        const="true",
        default="true",
        choices=("true", "false"),
        metavar="BOOL",
        help="=false: also without TLS, or with a certificate that nobody vouches for",
    )


def _is_insecure(arguments: Namespace) -> bool:
    return bool(arguments.tls_verify == "false")
