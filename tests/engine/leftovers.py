"""Names for what a test makes on an engine, and the removal of everything that bears them."""

from __future__ import annotations

import contextlib
import itertools
import os

from docker.errors import APIError

from dockerlab.client import Client

_counter = itertools.count()


def prefix() -> str:
    """How all names of one test begin: no other test has it, nor has another run on the same engine."""
    return f"dlt{os.getpid()}x{next(_counter)}-"


def label(prefix: str) -> dict[str, str]:
    """For what has no name of the test's own."""
    return {"dockerlab-test": prefix}


def remove(client: Client, prefix: str) -> None:
    """Removes the containers, networks, volumes and images whose names begin so, and the containers that are labelled so."""
    api = client.api
    for container in api.containers(all=True):
        is_named = any(name.rpartition("/")[2].startswith(prefix) for name in container["Names"] or [])
        if is_named or (container["Labels"] or {}).get("dockerlab-test") == prefix:
            with _gone():
                api.remove_container(container["Id"], force=True, v=True)
    for network in api.networks():
        if network["Name"].startswith(prefix):
            with _gone():
                api.remove_network(network["Id"])
    for volume in api.volumes()["Volumes"] or []:
        if volume["Name"].startswith(prefix):
            with _gone():
                api.remove_volume(volume["Name"])
    for image in api.images():
        for tag in image["RepoTags"] or []:
            if tag.rpartition("/")[2].startswith(prefix):
                with _gone():
                    api.remove_image(tag)


def remove_labelled(client: Client, label: str) -> None:
    """Removes the images that have the label, those that a classic builder hides too: each before the one that it was made from."""
    while images := client.api.images(all=True, filters={"label": label}):
        for image in sorted(images, key=lambda image: -image["Created"]):
            with _gone():
                client.api.remove_image(image["Id"], force=True)
                break
        else:
            raise AssertionError(f"none of {len(images)} images labelled {label} can be removed")


def _gone() -> contextlib.suppress:
    """It is being removed just now, as --rm does it."""
    return contextlib.suppress(APIError)
