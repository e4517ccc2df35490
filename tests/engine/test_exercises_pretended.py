"""Exercises that were made to look solved: a false image, a false parcel, a shell that never ends."""

from __future__ import annotations

from importlib import import_module

import pytest

import dockerlab
from dockerlab import containers, images
from dockerlab.client import Client
from dockerlab.course import Look
from dockerlab.course import look as looking
from dockerlab.course.exercises import build_and_cache, limits_storage_and_network, sharing, write_your_own_dockerfile
from dockerlab.errors import NotReady

# All the files that the exercise looks for, and a web server that has nothing to do with them.
FALSE = """FROM python:3.10
WORKDIR /app
COPY requirements.txt .
COPY flask.py /usr/lib/site-packages/flask/__init__.py
COPY app.py .
COPY notice.txt fortunes.txt .
USER 1000
CMD ["python", "-m", "http.server", "5000"]
"""
FILES = {"requirements.txt": "flask\n", "flask.py": "\n", "app.py": "\n", "notice.txt": "Cake.\n", "fortunes.txt": "Luck.\n"}


def test_an_image_with_files_of_the_right_names_is_found_out(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_and_cache, "IMAGE", f"{prefix}false")
    monkeypatch.setattr(write_your_own_dockerfile, "IMAGE", f"{prefix}false")
    dockerlab.build(FALSE, files=FILES, tag=f"{prefix}false", client=client)
    for name in ("quick-board", "your-own-image"):
        assert dockerlab.exercise(name).missing == ("what is called Flask in it does not work",)
    serves_nothing = FALSE.replace("http.server", "this")
    dockerlab.build(serves_nothing, files=FILES, tag=f"{prefix}false", client=client)
    (missing,) = dockerlab.exercise("quick-board").missing
    assert missing.startswith("started, it does not answer at port 5000")
    trials = [one for one in client.api.containers(all=True) if any("dockerlab-trial-" in name for name in one["Names"])]
    assert trials == [], "what was tried is removed"


def test_a_page_that_was_written_beforehand_is_found_out(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_and_cache, "IMAGE", f"{prefix}fixed")
    app = "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef board():\n    return 'Cake.'\n"
    dockerfile = """FROM python:3.10
WORKDIR /app
RUN pip install flask
COPY app.py .
COPY notice.txt .
CMD ["flask", "run", "--host", "0.0.0.0"]
"""
    dockerlab.build(dockerfile, files={"app.py": app, "notice.txt": "Cake.\n"}, tag=f"{prefix}fixed", client=client)
    assert dockerlab.exercise("quick-board").missing == ("its page does not show what is in /app/notice.txt",)


def test_only_the_parcel_that_was_sent_is_the_parcel(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parcel, unpacked, note = f"{prefix}parcel:1", f"{prefix}unpacked", f"{prefix}note"
    for name, value in (("PARCEL", parcel), ("UNPACKED", unpacked), ("NOTE", note)):
        monkeypatch.setattr(sharing, name, value)

    def made(word: str) -> bytes:
        dockerlab.build(f'FROM busybox\nRUN echo {word} > /letter\nCMD ["cat", "/letter"]\n', tag=parcel, client=client)
        return b"".join(images.get(parcel, client=client).save(named=True))

    def ran(*command: str) -> None:
        containers.run(parcel, command or None, name=unpacked, replace=True, output=lambda stream, data: None, client=client)

    assert dockerlab.exercise("the-parcel").missing[0].startswith("nothing has been sent yet")
    sent = made(f"{prefix}sent")
    layer = [line.diff_id for line in images.get(parcel, client=client).layers if line.diff_id][-1]
    containers.run("busybox", "true", detach=True, name=note, label={"layer": layer}, client=client)
    images.rm(parcel, force=True, client=client)
    made(f"{prefix}false")
    ran()
    assert dockerlab.exercise("the-parcel").missing[0].startswith(f"{parcel} is not the image that was sent")
    images.rm(parcel, force=True, client=client)
    client.images.load(sent)
    # Podman has removed the container with the false image.
    assert (
        dockerlab.exercise("the-parcel").missing[0].startswith((f"the container {unpacked} was made from", "there is no container"))
    )
    ran("true")
    assert dockerlab.exercise("the-parcel").missing == (f"{unpacked} was given another command than the image's own: name none",)
    ran()
    assert dockerlab.exercise("the-parcel").solved


def test_a_shell_that_never_ends_holds_nobody(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{prefix}endless"
    monkeypatch.setattr(limits_storage_and_network, "MODEST", name)
    monkeypatch.setattr(import_module("dockerlab.containers.limits"), "_SECONDS", 1.0)  # the package names a function so
    monkeypatch.setattr(looking, "_SECONDS", 1.0)
    containers.run("busybox", ["sleep", "600"], detach=True, name=name, memory="32m", cpus=0.25, client=client)
    endless = "rm /bin/sh; printf '#!/bin/ash\\nsleep 600\\n' > /bin/sh; chmod +x /bin/sh"
    containers.exec(name, ["ash", "-c", endless], client=client)
    said = f"`sh` in container '{name}' has not ended within 1 s"
    with pytest.raises(NotReady) as raised:
        containers.limits(name, client=client)
    assert raised.value.message == said
    assert "ends with the container" in str(raised.value.hint)
    assert dockerlab.exercise("modest-share").missing == (said, said)
    seen = Look(client).container(name)
    assert seen is not None
    with pytest.raises(NotReady):
        Look(client).run(seen, "sh", "-c", "echo")
    assert Look(client).run(seen, "echo", "still well").output == "still well\n"
