"""What builds leave in an engine: an image's configuration, as it is, and what BuildKit keeps of a test's steps."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any, cast

from dockerlab.client import Client


def configuration(client: Client, name: str) -> dict[str, Any]:
    """An image's, as it is."""
    archive = io.BytesIO(b"".join(client.images.get(name).save(named=True)))
    with tarfile.open(fileobj=archive) as saved:
        (manifest,) = json.load(cast("io.BufferedReader", saved.extractfile("manifest.json")))
        return cast("dict[str, Any]", json.load(cast("io.BufferedReader", saved.extractfile(manifest["Config"]))))


def cache(client: Client, unique: str) -> list[dict[str, Any]]:
    """What BuildKit keeps of a test's own steps."""
    api: Any = client.api
    # Nothing else: with containerd's image store, what is removed meanwhile makes it fail.
    found = api._result(api._get(api._url("/system/df"), params={"type": "build-cache"}), True).get("BuildCache") or []
    return [entry for entry in found if unique in entry.get("Description", "")]


def forget(client: Client, unique: str) -> None:
    api: Any = client.api
    for entry in cache(client, unique):
        filters = json.dumps({"id": [entry["ID"]]})
        api._raise_for_status(api._post(api._url("/build/prune"), params={"filters": filters, "all": "1"}))
