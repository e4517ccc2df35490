"""The exercises of the course: a file for each notebook, and the table that names them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dockerlab.course.exercises import (
    a_container_is_a_process,
    build_and_cache,
    deploying,
    images_are_files_in_layers,
    kernel_and_userland,
    limits_storage_and_network,
    one_image_many_containers,
    sharing,
    the_app_for_real,
    the_dockerfile,
    the_machine_under_it,
    write_your_own_dockerfile,
)
from dockerlab.course.model import Exercise

# The notebook, as its file is called → its exercises, in their order.
COURSE: Final[Mapping[str, tuple[Exercise, ...]]] = {
    "01-a-container-is-a-process": a_container_is_a_process.EXERCISES,
    "02-kernel-and-userland": kernel_and_userland.EXERCISES,
    "03-images-are-files-in-layers": images_are_files_in_layers.EXERCISES,
    "04-the-dockerfile": the_dockerfile.EXERCISES,
    "05-build-and-cache": build_and_cache.EXERCISES,
    "06-one-image-many-containers": one_image_many_containers.EXERCISES,
    "07-limits-storage-and-network": limits_storage_and_network.EXERCISES,
    "08-the-machine-under-it": the_machine_under_it.EXERCISES,
    "09-the-app-for-real": the_app_for_real.EXERCISES,
    "10-sharing": sharing.EXERCISES,
    "11-deploying": deploying.EXERCISES,
    "12-write-your-own-dockerfile": write_your_own_dockerfile.EXERCISES,
}
