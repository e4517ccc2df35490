"""The stand-in for a Binder pod: `python tests/pod.py up DIRECTORY UID`, `python tests/pod.py down`.

A container of the engine that DOCKER_HOST names, in which dockerlab's own engine runs as a pod on mybinder.org would run it: an
unprivileged user, no capabilities, no new privileges, Docker's default seccomp filter, 2 GB and one processor. Its image is the stand-in
for python:3.10, which is this environment's Python; dockerlab and what its engine needs are copied into it. DIRECTORY, which the
engine must see under the same name, holds the socket. The network is the host's, so that published ports can be tried from outside.
"""

from __future__ import annotations

import io
import sys
import tarfile
import time
from importlib.metadata import files
from pathlib import Path

import docker
from docker.errors import NotFound

import dockerlab

NAME = "dockerlab-pod"
IMAGE = "python:3.10"
SITE = "/srv/site"
NEEDED = ("anyio", "certifi", "h11", "h2", "hpack", "httpcore", "httpx", "hyperframe", "idna", "typing_extensions", "zstandard")
SECONDS = 30


def package() -> bytes:
    """dockerlab and the packages that its engine imports, as a tar for `/`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = Path(dockerlab.__file__).parent
        for path in sorted(folder.rglob("*.py")):
            tar.add(path, f"{SITE}/dockerlab/{path.relative_to(folder)}")
        for name in NEEDED:
            for file in files(name) or ():
                path = Path(file.locate())
                if ".." not in file.parts and path.is_file():
                    tar.add(path, f"{SITE}/{file}")
    return buffer.getvalue()


def up(directory: str, uid: str) -> None:
    """Starts it, and waits until its engine answers. Raises SystemExit with its log where it does not."""
    dockerlab.prepare(IMAGE)
    client = docker.from_env()
    down()
    pod = client.containers.create(
        IMAGE,
        ["python3", "-m", "dockerlab.engine", "serve"],
        name=NAME,
        user=f"{uid}:{uid}",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="2g",
        nano_cpus=1_000_000_000,
        network_mode="host",
        volumes={directory: {"bind": directory, "mode": "rw"}},
        environment={
            "PYTHONPATH": SITE,
            "HOME": "/tmp",
            "DOCKERLAB_ENGINE_ROOT": "/tmp/engine",
            "DOCKERLAB_ENGINE_RUNTIME": directory,
            "DOCKERLAB_ENGINE_IDLE": "0",
        },
    )
    pod.put_archive("/", package())
    pod.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if Path(directory, "engine.sock").exists():
            return
        pod.reload()
        if pod.status != "running":
            break
        time.sleep(0.1)
    raise SystemExit(f"the pod's engine does not answer:\n{pod.logs().decode(errors='replace')}")


def down() -> None:
    """Ends it, with all that runs in it."""
    try:
        docker.from_env().containers.get(NAME).remove(force=True, v=True)
    except NotFound:
        return


if __name__ == "__main__":
    up(*sys.argv[2:]) if sys.argv[1] == "up" else down()
