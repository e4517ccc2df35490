"""An image as a docker-archive: what `docker save` writes and `docker load` reads on every engine.

<diff_id>/layer.tar …     the layers, uncompressed; a diff_id is the digest of just that tar
<digest>.json             the config
manifest.json             which config, which layers in which order, and the image's tags
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from dockerlab import reference
from dockerlab.standins.tree import TIME, TIME_TEXT, Entry, Tree, add


@dataclass(frozen=True)
class Layer:
    """A tree of files, and the line that the image's history has for it."""

    tree: Tree
    made_by: str


@dataclass(frozen=True)
class Recipe:
    """An image to be made. name: with its tag. steps: layers, and lines of history that change only the config. ports: of EXPOSE."""

    name: str
    architecture: str
    env: Mapping[str, str]
    command: tuple[str, ...]
    labels: Mapping[str, str]
    steps: tuple[Layer | str, ...]
    ports: tuple[int, ...] = ()


def write(recipe: Recipe, file: IO[bytes]) -> None:
    """Writes the image as a docker-archive; the same bytes for the same recipe."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        diff_ids = [_add_layer(tar, step.tree) for step in recipe.steps if isinstance(step, Layer)]
        config = json.dumps(_config(recipe, diff_ids), sort_keys=True).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        add(tar, config_name, Entry("file", 0o644, config))
        layers = [f"{diff_id}/layer.tar" for diff_id in diff_ids]
        # The canonical name: Podman would take a short one as `localhost/…`.
        manifest = [{"Config": config_name, "RepoTags": [reference.parse(recipe.name).canonical], "Layers": layers}]
        add(tar, "manifest.json", Entry("file", 0o644, json.dumps(manifest).encode()))


def _add_layer(tar: tarfile.TarFile, tree: Tree) -> str:
    with tempfile.TemporaryFile() as layer:
        tree.write(layer)
        size = layer.tell()
        layer.seek(0)
        diff_id = hashlib.file_digest(layer, "sha256").hexdigest()
        layer.seek(0)
        info = tarfile.TarInfo(f"{diff_id}/layer.tar")
        info.size, info.mode, info.mtime = size, 0o644, TIME
        tar.addfile(info, layer)
    return diff_id


def _config(recipe: Recipe, diff_ids: list[str]) -> dict[str, object]:
    history: list[dict[str, object]] = []
    for step in recipe.steps:
        if isinstance(step, Layer):
            history.append({"created": TIME_TEXT, "created_by": step.made_by})
        else:
            history.append({"created": TIME_TEXT, "created_by": step, "empty_layer": True})
    return {
        "architecture": recipe.architecture,
        "os": "linux",
        "created": TIME_TEXT,
        "config": {
            "Env": [f"{name}={value}" for name, value in recipe.env.items()],
            "Cmd": list(recipe.command),
            "Labels": dict(recipe.labels),
            **({"ExposedPorts": {f"{port}/tcp": {} for port in recipe.ports}} if recipe.ports else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}" for diff_id in diff_ids]},
        "history": history,
    }
