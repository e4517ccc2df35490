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
from dataclasses import dataclass
from typing import Final

from dockerlab.errors import UsageError, without_passwords
from dockerlab.faces import markup
from dockerlab.faces.hiding import hide_arguments
from dockerlab.faces.shown import Shown
from dockerlab.project.flags import Given, flag_words, read


@dataclass(frozen=True, repr=False)
class Command(Shown):
    """What to type into a shell. lines: one command a line, or more for a here-document; quoted as a shell wants it. notes: what a
    reader has to know besides. is_same: whether it does what the magic does; if not, it is what comes nearest.
    """

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_same: bool = True

    @property
    def line(self) -> str:
        """All of it, for a shell."""
        return "\n".join(self.lines)

    def _text(self) -> str:
        return "\n".join([*self.lines, *(f"# {note}" for note in self.notes)])

    def _html(self) -> str:
        notes = "".join(f"<p>{_with_code(note)}</p>" for note in self.notes)
        what = "the same by the docker command" if self.is_same else "what comes nearest by the docker command"
        return markup.page(markup.head(what), f"<pre>{markup.text(self.line)}</pre>", notes)


def _with_code(note: str) -> str:
    """A note as HTML: what stands in backticks is code."""
    return "".join(markup.code(part) if index % 2 else markup.text(part) for index, part in enumerate(note.split("`")))


def command(magic: str, words: Sequence[str], body: str | None = None) -> Command:
    """Of all magics but `%%dockerfile` (see `build`), `%context` and `%exercise`, which docker has nothing of.

    words: of the line, the verb first. body: of a cell magic, which is fed to the command.

    Raises UsageError for a verb that there is not.
    """
    if magic == "pipeline":
        return _nearest(
            _docker("history", *read(magic, "", words).arguments),
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
        made = _fed_compose(made, body) if magic == "compose" else _fed(made, given, verb, body)
    return made


def _engine(words: Sequence[str]) -> Command:
    match list(words):
        case ["use", "embedded"]:
            return _nearest(
                "export $(dockerlab engine start)", "docker starts no engine; it speaks to dockerlab's as to any other."
            )
        case ["use", target] if "://" in target:
            return Command((f"export DOCKER_HOST={shlex.quote(without_passwords(target))}",))
        case ["use", target]:
            return _nearest(
                _docker("context", "use", target), "docker keeps it for all shells; the magic does it for this notebook."
            )
        case ["ls", *_]:
            return _nearest(_docker("context", "ls"), "docker lists its contexts, and does not say which of them answers.")
        case []:
            return _nearest([_docker("version"), _docker("context", "ls")], "docker says it in two parts.")
    return _nearest(_docker("info"), "docker tells of its engine alone, not of this machine.")


def _docker(*words: str) -> str:
    return shlex.join(["docker", *masked(words)])


# They take the name of a secret, or say where one is.
_NAMED_SECRETS: Final = ("--secret", "--secret-add", "--secret-rm")


def masked(words: Sequence[str]) -> list[str]:
    """A command's words without secrets. What `--secret` takes is no secret: it says where one is."""
    found: list[str] = []
    waiting = list(words)
    while at := next((place for place, word in enumerate(waiting, 1) if word in _NAMED_SECRETS), 0):
        found += [*hide_arguments(waiting[: at - 1]), *waiting[at - 1 : at + 1]]
        waiting = waiting[at + 1 :]
    return [*found, *hide_arguments(waiting)]


def _nearest(lines: str | Sequence[str], *notes: str) -> Command:
    return Command((lines,) if isinstance(lines, str) else tuple(lines), notes, is_same=False)


def _alike(*verb: str, always: Sequence[str] = ()) -> Callable[[Given], Command]:
    """A verb that docker has with the same flags. always: flags that it wants besides."""

    def make(given: Given) -> Command:
        more = [flag for flag in always if not given.has(flag)]
        return Command((_docker(*verb, *more, *given.words),))

    return make


def _run(given: Given) -> Command:
    lines, notes = [], []
    if given.has("--replace") and (name := given.value("--name")):
        lines.append(_docker("rm", "-f", name))
    if given.has("--wait"):
        port = given.value("--wait")
        until = f"port {port} answers" if port else "the container is ready"
        notes.append(f"docker run -d does not wait until {until}; `docker ps` and `docker logs` tell.")
    kept = [(flag, _published(value) if flag in ("-p", "--publish") and value else value) for flag, value in given.flags]
    kept = [(flag, value) for flag, value in kept if flag not in ("--replace", "--wait")]
    lines.append(_docker("run", *flag_words(kept), *given.arguments))
    return Command(tuple(lines), tuple(notes))


def _published(port: str) -> str:
    """Where nothing else is asked for, a magic publishes on this machine alone."""
    if port.startswith("[") or port.count(":") > 1:
        return port
    host, colon, inner = port.rpartition(":")
    return port if colon and not host.isdecimal() and "-" not in host else f"127.0.0.1:{host}:{inner}"


def _debug(given: Given) -> Command:
    return _nearest(
        _docker("run", "-it", *flag_words(given.flags), "IMAGE", "sh"),
        "docker keeps no container of a build that failed: build the Dockerfile up to the line before as IMAGE, then start that.",
    )


def _show_container(given: Given) -> Command:
    return _nearest(
        [_docker(verb, *given.arguments) for verb in ("inspect", "logs", "top", "stats")], "docker has each part of it by itself."
    )


def _limits(given: Given) -> Command:
    return _nearest(
        _docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", *given.arguments),
        "docker says what was asked for; what holds inside is read there: `docker exec NAME cat /sys/fs/cgroup/memory.max`.",
    )


def _process(given: Given) -> Command:
    return _nearest(
        [_docker("inspect", "-f", "{{.State.Pid}}", *given.arguments), "sudo ls -l /proc/PID/ns /proc/1/ns"],
        "docker names the process, on the engine's host; that one's kernel has the rest, under the number as PID.",
    )


def _timed(verb: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        flags = [("-t" if flag in ("--time", "--timeout") else flag, value) for flag, value in given.flags]
        return Command((_docker(verb, *flag_words(flags), *given.arguments),))

    return make


def _show_image(given: Given) -> Command:
    return _nearest(
        [_docker("image", "inspect", *given.arguments), _docker("history", *given.arguments)], "docker has it in two parts."
    )


def _graph(given: Given) -> Command:
    images = given.arguments or ("IMAGE",)
    return _nearest(
        _docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", *images),
        "docker draws no graph: it lists the layers of each image.",
    )


def _explore(given: Given) -> Command:
    image = given.arguments[0] if given.arguments else "IMAGE"
    listed = f"{_docker('save', image)} | tar -t"
    return _nearest(
        listed, "docker does not look into layers: an archive holds them, each as a tar. The program dive explores an image."
    )


def _diff(given: Given) -> Command:
    return _nearest(
        [_docker("history", image) for image in given.arguments], "docker compares no images: see what each is made of."
    )


def _save(given: Given) -> Command:
    file, *images = given.arguments or ("FILE", "IMAGE")
    endings = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"}
    program = given.value("--compress") or next((name for end, name in endings.items() if file.lower().endswith(end)), "none")
    if given.value("--format") == "oci-archive":
        note = "docker writes what it likes: from 25.0 on an OCI layout is in its archives. skopeo, a program of its own, writes one alone."
        return _nearest([shlex.join(["skopeo", "copy", f"docker-daemon:{image}", f"oci-archive:{file}"]) for image in images], note)
    if program != "none":
        return Command((f"{_docker('save', *images)} | {program} > {shlex.quote(file)}",))
    return Command((_docker("save", "-o", file, *images),))


def _copy(given: Given) -> Command:
    to = given.value("--to") or "CONTEXT"
    where = ("-H", without_passwords(to)) if "://" in to else ("-c", to)
    return Command((f"{_docker('save', *given.arguments)} | {_docker(*where, 'load')}",))


def _load(given: Given) -> Command:
    return Command((_docker("load", "-i", *(given.arguments or ("FILE",))),))


def _compose(verb: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        named = [(flag, value) for flag, value in given.flags if flag in ("-p", "--project-name")]
        kept = [(flag, value) for flag, value in given.flags if (flag, value) not in named and flag not in ("-d", "--detach")]
        detached = ["-d"] if verb == "up" else []
        return Command((_docker("compose", *flag_words(named), verb, *detached, *flag_words(kept), *given.arguments),))

    return make


def _kubernetes(given: Given) -> Command:
    image = given.arguments[0] if given.arguments else "IMAGE"
    name = given.value("--name") or "NAME"
    replicas = given.value("--replicas") or "1"
    port = given.value("--port") or "PORT"
    made = ["kubectl", "create", "deployment", name, f"--image={image}", f"--replicas={replicas}", f"--port={port}"]
    served = ["kubectl", "expose", "deployment", name, f"--port={port}", f"--type={given.value('--type') or 'ClusterIP'}"]
    return _nearest([shlex.join(made), shlex.join(served)], "docker knows nothing of Kubernetes, and kubectl nothing of the image.")


def _login(given: Given) -> Command:
    kept = [(flag, value) for flag, value in given.flags if flag in ("-u", "--username")]
    variable = given.value("--password-var")
    # At the end: the word after it would be taken for a password, and hidden.
    line = _docker("login", *flag_words(kept), *given.arguments, *(["--password-stdin"] if variable else []))
    notes = [f"Give it the password that is in the variable {variable} on standard input."] if variable else []
    return Command((line,), (*notes, *_unverified(given)), is_same=not notes)


def _logout(given: Given) -> Command:
    return Command((_docker("logout", *given.arguments),))


def _remote(given: Given) -> Command:
    lines = [_docker("manifest", "inspect", *image) for image in [given.arguments or ("IMAGE",)]]
    return _nearest(lines, "docker shows the manifest, and not the configuration.", *_unverified(given))


def _unverified(given: Given) -> tuple[str, ...]:
    if not given.has("--tls-verify"):
        return ()
    return ("docker goes without TLS where its daemon.json names the registry among insecure-registries.",)


def _prepare(given: Given) -> Command:
    return _nearest(
        [_docker("pull", image) for image in given.arguments or ("IMAGE",)],
        "docker pulls, and makes no image of this machine's files.",
    )


def _nodes(given: Given) -> Command:
    return Command((_docker("node", "ls"),))


def _node_update(availability: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        nodes = given.arguments or ("NODE",)
        return Command(tuple(_docker("node", "update", "--availability", availability, node) for node in nodes))

    return make


def _join(given: Given) -> Command:
    """The token is a secret, wherever it stands."""
    name = given.value("--var")
    flags = [(flag, "***" if flag == "--token" else value) for flag, value in given.flags if flag != "--var"]
    line = _docker("swarm", "join", *flag_words([*flags, *([("--token", "***")] if name else [])]), *given.arguments)
    return Command((line,), (f"The token is in the notebook's variable {name}.",) if name else ())


def _kept(kind: str) -> Callable[[Given], Command]:
    """Secrets and configs, which docker reads from a file or from its input."""

    def make(given: Given) -> Command:
        action, *names = given.arguments or ("ls",)
        if action != "create":
            return Command((_docker(kind, action, *names),))
        labels = [pair for pair in given.flags if pair[0] in ("-l", "--label")]
        file, variable = given.value("--file"), given.value("--var")
        line = _docker(kind, "create", *flag_words(labels), *names[:1], file or "-")
        said = f"It is read from the input: the {kind} is in the notebook's variable {variable}."
        return Command((line,), (said,) if variable else ())

    return make


def _show_service(given: Given) -> Command:
    return _nearest(
        [_docker("service", "ps", *given.arguments), _docker("node", "ls")], "docker draws no picture: it has two lists."
    )


def _joining(given: Given) -> Command:
    line = _docker("swarm", "join-token", *given.arguments)
    return _nearest(line, "docker prints the token, a secret; the magic gives it as a value and shows it nowhere.")


_CONTAINER: Final[dict[str, Callable[[Given], Command]]] = {
    "run": _run,
    "debug": _debug,
    "show": _show_container,
    "limits": _limits,
    "process": _process,
    "stop": _timed("stop"),
    "restart": _timed("restart"),
    "inspect": _alike("container", "inspect"),
    "stats": _alike("stats", always=["--no-stream"]),
    "prune": _alike("container", "prune", always=["-f"]),
    "ls": _alike("container", "ls"),
    **{verb: _alike(verb) for verb in ("ps", "logs", "exec", "start", "kill", "pause", "unpause", "rm", "diff", "top", "cp")},
    **{verb: _alike(verb) for verb in ("port", "wait", "commit", "rename")},
}
_IMAGE: Final[dict[str, Callable[[Given], Command]]] = {
    "ls": _alike("image", "ls"),
    "show": _show_image,
    "inspect": _alike("image", "inspect"),
    "history": _alike("history"),
    "graph": _graph,
    "explore": _explore,
    "diff": _diff,
    "tag": _alike("tag"),
    "rm": _alike("image", "rm"),
    "prune": _alike("image", "prune", always=["-f"]),
    "pull": _alike("pull"),
    "push": _alike("push"),
    "login": _login,
    "logout": _logout,
    "remote": _remote,
    "save": _save,
    "load": _load,
    "kubernetes": _kubernetes,
    "copy": _copy,
    "prepare": _prepare,
}
_SWARM: Final[dict[str, Callable[[Given], Command]]] = {
    "init": _alike("swarm", "init"),
    "join": _join,
    "join-token": _joining,
    "leave": _alike("swarm", "leave"),
    "nodes": _nodes,
    "drain": _node_update("drain"),
    "activate": _node_update("active"),
    "promote": _alike("node", "promote"),
    "demote": _alike("node", "demote"),
    "secret": _kept("secret"),
    "config": _kept("config"),
}
_SERVICE: Final[dict[str, Callable[[Given], Command]]] = {
    "show": _show_service,
    **{verb: _alike("service", verb) for verb in ("create", "ls", "ps", "logs", "inspect", "scale", "update", "rollback", "rm")},
}
_VERBS: Final = {
    "compose": {verb: _compose(verb) for verb in ("up", "down", "ps", "logs", "config")},
    "container": _CONTAINER,
    "image": _IMAGE,
    "swarm": _SWARM,
    "service": _SERVICE,
    **{magic: {verb: _alike(magic, verb) for verb in ("create", "ls", "inspect", "rm")} for magic in ("network", "volume")},
}


def _fed_compose(made: Command, body: str) -> Command:
    """With the file on standard input."""
    *before, last = made.lines
    return Command((*before, *here(last.replace("docker compose", "docker compose -f -", 1), body)), made.notes)


def _fed(made: Command, given: Given, verb: str, body: str) -> Command:
    """With the cell on standard input."""
    *before, last = made.lines
    interactive = "" if given.has("-i", "--interactive") else " -i"
    last = last.replace(f"docker {verb}", f"docker {verb}{interactive}", 1)
    if len(given.arguments) < 2 and not given.has("--entrypoint"):
        last += " sh"
    return Command((*before, *here(last, body)), made.notes)


def here(line: str, body: str) -> tuple[str, ...]:
    """A command with a here-document."""
    end = "EOF"
    while re.search(rf"^{end}$", body, re.MULTILINE):
        end += "_"
    return (f"{line} <<'{end}'", *body.removesuffix("\n").split("\n"), end)


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
    line = _docker("build", *flag_words(flags), *where, context or "-")
    lines = here(line, body) if body is not None else (line,)
    return Command(tuple(lines), tuple(notes), is_same=not given.has("--graph"))
