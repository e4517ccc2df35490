"""The `docker` commands that do what the verbs of `%image` do, and what comes nearest where there is none."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Final

from dockerlab.errors import without_passwords
from dockerlab.project.command import Command, alike, docker, nearest
from dockerlab.project.flags import Given, flag_words


def _show_image(given: Given) -> Command:
    return nearest(
        [docker("image", "inspect", *given.arguments), docker("history", *given.arguments)], "docker has it in two parts."
    )


def _graph(given: Given) -> Command:
    images = given.arguments or ("IMAGE",)
    return nearest(
        docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", *images),
        "docker draws no graph: it lists the layers of each image.",
    )


def _explore(given: Given) -> Command:
    image = given.arguments[0] if given.arguments else "IMAGE"
    listed = f"{docker('save', image)} | tar -t"
    return nearest(
        listed, "docker does not look into layers: an archive holds them, each as a tar. The program dive explores an image."
    )


def _diff(given: Given) -> Command:
    return nearest([docker("history", image) for image in given.arguments], "docker compares no images: see what each is made of.")


def _save(given: Given) -> Command:
    file, *images = given.arguments or ("FILE", "IMAGE")
    endings = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"}
    program = given.value("--compress") or next((name for end, name in endings.items() if file.lower().endswith(end)), "none")
    if given.value("--format") == "oci-archive":
        note = "docker writes what it likes: from 25.0 on an OCI layout is in its archives. skopeo, a program of its own, writes one alone."
        return nearest([shlex.join(["skopeo", "copy", f"docker-daemon:{image}", f"oci-archive:{file}"]) for image in images], note)
    if program != "none":
        return Command((f"{docker('save', *images)} | {program} > {shlex.quote(file)}",))
    return Command((docker("save", "-o", file, *images),))


def _copy(given: Given) -> Command:
    to = given.value("--to") or "CONTEXT"
    where = ("-H", without_passwords(to)) if "://" in to else ("-c", to)
    return Command((f"{docker('save', *given.arguments)} | {docker(*where, 'load')}",))


def _load(given: Given) -> Command:
    return Command((docker("load", "-i", *(given.arguments or ("FILE",))),))


def _kubernetes(given: Given) -> Command:
    image = given.arguments[0] if given.arguments else "IMAGE"
    name = given.value("--name") or "NAME"
    replicas = given.value("--replicas") or "1"
    port = given.value("--port") or "PORT"
    made = ["kubectl", "create", "deployment", name, f"--image={image}", f"--replicas={replicas}", f"--port={port}"]
    served = ["kubectl", "expose", "deployment", name, f"--port={port}", f"--type={given.value('--type') or 'ClusterIP'}"]
    return nearest([shlex.join(made), shlex.join(served)], "docker knows nothing of Kubernetes, and kubectl nothing of the image.")


def _login(given: Given) -> Command:
    kept = [(flag, value) for flag, value in given.flags if flag in ("-u", "--username")]
    variable = given.value("--password-var")
    # At the end: the word after it would be taken for a password, and hidden.
    line = docker("login", *flag_words(kept), *given.arguments, *(["--password-stdin"] if variable else []))
    notes = [f"Give it the password that is in the variable {variable} on standard input."] if variable else []
    return Command((line,), (*notes, *_unverified(given)), is_same=not notes)


def _logout(given: Given) -> Command:
    return Command((docker("logout", *given.arguments),))


def _remote(given: Given) -> Command:
    lines = [docker("manifest", "inspect", *image) for image in [given.arguments or ("IMAGE",)]]
    return nearest(lines, "docker shows the manifest, and not the configuration.", *_unverified(given))


def _unverified(given: Given) -> tuple[str, ...]:
    if not given.has("--tls-verify"):
        return ()
    return ("docker goes without TLS where its daemon.json names the registry among insecure-registries.",)


def _prepare(given: Given) -> Command:
    return nearest(
        [docker("pull", image) for image in given.arguments or ("IMAGE",)],
        "docker pulls, and makes no image of this machine's files.",
    )


IMAGE: Final[dict[str, Callable[[Given], Command]]] = {
    "ls": alike("image", "ls"),
    "show": _show_image,
    "inspect": alike("image", "inspect"),
    "history": alike("history"),
    "graph": _graph,
    "explore": _explore,
    "diff": _diff,
    "tag": alike("tag"),
    "rm": alike("image", "rm"),
    "prune": alike("image", "prune", always=["-f"]),
    "pull": alike("pull"),
    "push": alike("push"),
    "login": _login,
    "logout": _logout,
    "remote": _remote,
    "save": _save,
    "load": _load,
    "kubernetes": _kubernetes,
    "copy": _copy,
    "prepare": _prepare,
}
