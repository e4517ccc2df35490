"""The `docker` command line that does what a magic does. Pure: it is shown, and nothing is run.

    command("container", ["run", "-d", "-p", "5000", "--wait=5000", "hello"])
        docker run -d -p 127.0.0.1::5000 hello
        # docker does not wait until a port answers: …

What `docker` does not have is said, with what comes nearest. What looks like a secret in a line is `***`;
a cell that is fed to the command stands as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

from dockerlab.errors import UsageError, without_passwords
from dockerlab.project.command import Command, alike, docker, fed, here, nearest
from dockerlab.project.container_commands import CONTAINER
from dockerlab.project.flags import Given, flag_words, read
from dockerlab.project.image_commands import IMAGE
from dockerlab.project.swarm_commands import SERVICE, SWARM


def command(magic: str, words: Sequence[str], body: str | None = None) -> Command:
    """Of all magics but `%%dockerfile` (see `build`), `%context` and `%exercise`, which docker has nothing of.

    words: of the line, the verb first. body: of a cell magic, which is fed to the command.

    Raises UsageError for a verb that there is not.
    """
    if magic == "pipeline":
        return nearest(
            docker("history", *read(magic, "", words).arguments),
            "docker shows an image's lines, and neither the steps of its build nor its containers.",
        )
    if magic == "engine":
        return _engine([word for word in words if word != "--show-command"])
    verb, rest = (words[0], words[1:]) if words else ("ls", ())
    given = read(magic, verb, rest).without("--show-command")
    known = _VERBS[magic]
    if verb not in known:
        raise UsageError(f"unknown verb {verb}", hint=f"There are: {', '.join(known)}.")
    made = known[verb](given)
    if body is not None:
        made = _fed_compose(made, body) if magic == "compose" else fed(made, given, verb, body)
    return made


def _engine(words: Sequence[str]) -> Command:
    match list(words):
        case ["use", "embedded"]:
            return nearest("export $(dockerlab engine start)", "docker starts no engine; it speaks to dockerlab's as to any other.")
        case ["use", target] if "://" in target:
            return Command((f"export DOCKER_HOST={shlex.quote(without_passwords(target))}",))
        case ["use", target]:
            return nearest(docker("context", "use", target), "docker keeps it for all shells; the magic does it for this notebook.")
        case ["ls", *_]:
            return nearest(docker("context", "ls"), "docker lists its contexts, and does not say which of them answers.")
        case []:
            return nearest([docker("version"), docker("context", "ls")], "docker says it in two parts.")
    return nearest(docker("info"), "docker tells of its engine alone, not of this machine.")


def _compose(verb: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        named = [(flag, value) for flag, value in given.flags if flag in ("-p", "--project-name")]
        kept = [(flag, value) for flag, value in given.flags if (flag, value) not in named and flag not in ("-d", "--detach")]
        detached = ["-d"] if verb == "up" else []
        return Command((docker("compose", *flag_words(named), verb, *detached, *flag_words(kept), *given.arguments),))

    return make


_VERBS: Final = {
    "compose": {verb: _compose(verb) for verb in ("up", "down", "ps", "logs", "config")},
    "container": CONTAINER,
    "image": IMAGE,
    "swarm": SWARM,
    "service": SERVICE,
    **{magic: {verb: alike(magic, verb) for verb in ("create", "ls", "inspect", "rm")} for magic in ("network", "volume")},
}


def _fed_compose(made: Command, body: str) -> Command:
    """With the file on standard input."""
    *before, last = made.lines
    return Command((*before, *here(last.replace("docker compose", "docker compose -f -", 1), body)), made.notes)


# Of `%%dockerfile`: what the docker command does not have.
OWN_FLAGS: Final = ("--context", "--append", "--explain", "--graph", "--var", "--show-command", "-f", "--file")


def build(given: Given, *, dockerfile: str = "", context: str = ".", body: str | None = None) -> Command:
    """`docker build`. given: the flags of a `%%dockerfile` or `%dockerfile`. dockerfile: the file's path, "" for DIR/Dockerfile.

    context: the folder, or "" for none. body: the Dockerfile, where it comes from standard input and not from a file.
    """
    flags, notes = [], []
    for flag, value in given.flags:
        if flag == "--secret" and value and re.search(r"(^|,)var=", value):
            name = re.sub(r".*(?:^|,)var=([^,]*).*", r"\1", value)
            value = re.sub(r"(^|,)var=", r"\1env=", value)
            notes.append(f"The secret is in the notebook's variable {name}: put it into an environment variable of that name.")
        if flag == "--graph":
            notes.append("docker draws no stages.")
        if flag == "--explain":
            notes.append("docker does not say why a step ran; `--progress plain` says which were CACHED.")
        if flag not in OWN_FLAGS:
            flags.append((flag, value))
    where = ["-f", dockerfile] if dockerfile else ["-f", "-"] if body is not None and context else []
    line = docker("build", *flag_words(flags), *where, context or "-")
    lines = here(line, body) if body is not None else (line,)
    return Command(tuple(lines), tuple(notes), is_same=not given.has("--graph"))
