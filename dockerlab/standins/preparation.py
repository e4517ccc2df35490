from __future__ import annotations

import tempfile
from typing import IO

import docker.errors

from dockerlab import reference
from dockerlab.client import Client, connect
from dockerlab.errors import UsageError
from dockerlab.standins import archives, busybox, machine, python

NAMES = (busybox.NAME, python.NAME)


class Prepared:
    pass


def archive(name: str) -> IO[bytes]:
    machine.require_linux()
    recipe = busybox.recipe(machine.static_busybox()) if reference.parse(name).familiar == busybox.NAME else python.recipe()
    file = tempfile.TemporaryFile()
    archives.write(recipe, file)
    file.seek(0)
    return file


def prepare(*names: str, client: Client | None = None):
    client = client or connect()
    for name in names or NAMES:
        if reference.parse(name).familiar not in NAMES:
            raise UsageError(f"no stand-in for '{name}'")
        try:
            client.images.get(name)
            continue
        except docker.errors.ImageNotFound:
            with archive(name) as file:
                client.images.load(file)
