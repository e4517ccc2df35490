"""Binder without Binder: what repo2docker makes of this repository, built and started on an engine.

    text = dockerfile()                              as `jupyter-repo2docker` prints it
    image = build(folder, client=client)             its steps, on an image that is here in place of Ubuntu and conda
    with pod(image, client) as started: …            JupyterLab in a pod, as BinderHub starts it

What is put in the place of what cannot be had here is in `adapted`: the base image, Ubuntu's own packages, conda's environment. All that
comes of this repository is carried out as it stands: its packages, the user, requirements.txt, the copy, postBuild, the entry point.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any

import dockerlab
from dockerlab import standins
from dockerlab.client import Client
from dockerlab.dockerfile import Node, parse
from dockerlab.images import Image
from dockerlab.standins import machine, packages

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
# A Debian with Python, where Binder has an Ubuntu with conda: base images are made of its files, where no registry gives them.
BASES = ("debian", "python:3.10")
_BASE = [
    "FROM debian",
    "COPY --from=python:3.10 /usr /usr",
    "COPY --from=python:3.10 /lib /usr/lib",
    "COPY os-release /usr/lib/os-release",
    f"ENV PIP_CERT={machine.CERTIFICATES} SSL_CERT_FILE={machine.CERTIFICATES}",
]
USER, UID = "jovyan", 1000
HOME = f"/home/{USER}"
PREFIX = "/user/learner/"
TOKEN = "learner"
START_SECONDS = 60

# What conda's environment brings that notebooks notice, by conda's names; in the versions that repo2docker locks.
_ENVIRONMENT = (
    "ipykernel",
    "ipython",
    "ipywidgets",
    "jupyter_client",
    "jupyter_server",
    "jupyterlab",
    "nbconvert-core",
    "notebook",
)
# Apart from what a learner has: on the path of nbval's own process and its kernels alone.
TESTING = "/opt/testing"
_PYTHON = "${NB_PYTHON_PREFIX}"


def dockerfile() -> str:
    """What Binder would build: the Dockerfile that repo2docker prints for this repository. Raises CalledProcessError."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", f"--user-id={UID}", f"--user-name={USER}", str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def requirements(name: str = "requirements.txt") -> list[str]:
    """The lines of one of Binder's lists, without comments."""
    lines = (line.partition("#")[0].strip() for line in (BINDER / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def adapted(text: str) -> str:
    """The Dockerfile with other steps in the place of those that cannot be had here. Raises AssertionError where one is not found."""
    nodes = parse(text).nodes
    source = text.splitlines()
    lines: list[str] = []
    replaced: set[str] = set()
    for node in nodes:
        name, instead = _instead(node)
        replaced.add(name)
        lines += source[node.line - 1 : node.end_line] if instead is None else instead
    assert replaced == {"", "base", "apt", "ours", "locale", "scripts", "conda"}, (
        f"repo2docker's Dockerfile has changed: {replaced}"
    )
    return "\n".join([*lines, ""])


def _instead(node: Node) -> tuple[str, list[str] | None]:
    """Which of the rules a step falls under, and what stands in its place; None for the step itself."""
    match node.keyword, node.text:
        case "FROM", _:
            return "base", _BASE
        case "RUN", command if "apt-get" in command and all(package in command.split() for package in requirements("apt.txt")):
            return "ours", ["COPY packages/ /"]
        case "RUN", command if "apt-get" in command:
            return "apt", []
        case "RUN", command if "locale-gen" in command:
            return "locale", []
        case "ENV", names if "en_US.UTF-8" in names:
            return "locale", [names.replace("en_US.UTF-8", "C.UTF-8")]
        case "COPY", copied if "build_script_files/" in copied:
            return "scripts", []
        case "RUN", command if "install-base-env.bash" in command:
            pip = f"{_PYTHON}/bin/pip install --no-cache-dir --disable-pip-version-check --quiet"
            return "conda", [
                f"RUN python3 -m venv {_PYTHON} && {pip} {' '.join(locked())} && chown -R {UID}:{UID} {_PYTHON}",
                f"RUN {pip} --target {TESTING} nbval",
            ]
    return "", None


def locked() -> list[str]:
    """Packages of the environment that Binder starts from, as pip's requirements."""
    version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    lock = _repo2docker(f"conda/environment.py-{version}-linux-64.lock").read_text(encoding="utf-8")
    found = {match[1]: match[2] for match in re.finditer(r"/([\w.-]+)-([^-/]+)-[^-/]+\.conda", lock)}
    return [f"{name.removesuffix('-core')}=={found[name]}" for name in _ENVIRONMENT]


def _repo2docker(name: str) -> Path:
    wanted = f"repo2docker/buildpacks/{name}"
    return next(Path(str(file.locate())) for file in files("jupyter-repo2docker") or () if str(file) == wanted)


def _lay_out(folder: Path) -> None:
    """The build context as repo2docker sends it, and the packages of apt.txt from this machine."""
    for name in ("repo2docker-entrypoint", "python3-login"):
        shutil.copy(_repo2docker(name), folder / name)
    shutil.copy("/etc/os-release", folder / "os-release")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "src" / name)
    there = packages.installed()
    for name in requirements("apt.txt"):
        assert name in there, f"binder/apt.txt names {name}, which this machine lacks: sudo apt-get install {name}"
        for listed_path in packages.files(there[name]):
            path = packages.merged(listed_path)
            if Path(path).is_file() and not path.startswith("/usr/share/"):
                target = folder / "packages" / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def build(folder: Path, tag: str, client: Client) -> Image:
    """Carries out the steps on an engine. folder: an empty one, for the build context.

    Raises BuildError with the step that failed; DockerlabError where this machine is no Debian, and a stand-in for one is missing.
    """
    standins.prepare(*BASES, client=client)
    _lay_out(folder)
    build_args = {"NB_USER": USER, "NB_UID": str(UID)}
    return dockerlab.build(adapted(dockerfile()), context=folder, tag=tag, build_arg=build_args, client=client)


@dataclass(frozen=True)
class Pod:
    """A started pod. url: of its JupyterLab, for this machine, without a slash at its end. seconds: from its start to its first answer."""

    container: Any
    url: str
    seconds: float

    def entrance(self, path: str = "") -> str:
        """Where BinderHub sends the browser. path: the badge's `urlpath`."""
        return f"{self.url}/{path}?token={TOKEN}"

    def put(self, path: Path, folder: str) -> None:
        """Copies a file into a folder of the learner's home, as the learner's own."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(path, path.name, filter=_of_the_learner)
        assert self.container.put_archive(f"{HOME}/{folder}", buffer.getvalue())

    def run(self, *command: str, environ: dict[str, str] | None = None) -> str:
        """Runs a command in it, as the learner's terminal would. Gives what it printed. Raises AssertionError where it fails."""
        code, output = self.container.exec_run(list(command), environment=environ or {})
        text = output.decode(errors="replace")
        assert code == 0, f"{' '.join(command)}: exit code {code}\n{text}"
        return str(text)


def _of_the_learner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    return member.replace(uid=UID, gid=UID, uname=USER, gname=USER)


@contextmanager
def pod(image: Image, name: str, client: Client, **settings: Any) -> Iterator[Pod]:
    """A pod of mybinder.org's: an unprivileged user, no capabilities, no new privileges, Docker's default seccomp filter, 2 GB, one
    processor, one port for JupyterLab. settings: more of docker-py's.
    """
    arguments = [f"base_url={PREFIX}", f"token={TOKEN}", "trust_xheaders=True"]
    began = time.monotonic()
    container: Any = client.containers.run(
        str(image.id),
        [
            *("jupyter-lab", "--ip=0.0.0.0", "--port=8888"),
            *(f"--{app}.{argument}" for app in ("NotebookApp", "ServerApp") for argument in arguments),
            "--LabApp.expose_app_in_browser=True",  # for the tests: `window.jupyterapp`
        ],
        name=name,
        detach=True,
        user=f"{UID}:{UID}",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="2g",
        nano_cpus=1_000_000_000,
        environment={"JUPYTERHUB_SERVICE_PREFIX": PREFIX, "MEM_LIMIT": str(2 << 30), "CPU_LIMIT": "1.0"},
        **{"ports": {"8888/tcp": ("127.0.0.1", None)}, **settings},
    )
    try:
        container.reload()
        address = f"http://127.0.0.1:{container.ports['8888/tcp'][0]['HostPort']}{PREFIX}".rstrip("/")
        _wait_for(f"{address}/api/status?token={TOKEN}", container)
        yield Pod(container, address, time.monotonic() - began)
    finally:
        container.remove(force=True, v=True)


def _wait_for(url: str, container: Any) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            opener.open(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError) as error:
            container.reload()
            if container.status != "running" or time.monotonic() > deadline:
                raise AssertionError(f"JupyterLab does not answer: {error}\n{container.logs().decode()}") from error
            time.sleep(0.05)
