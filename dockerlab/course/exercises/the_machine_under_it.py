"""The exercises of `notebooks/08-the-machine-under-it.ipynb`."""

from __future__ import annotations

from dockerlab.client import engine_errors
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

CONTAINER = "witness"
_FILE = "/kernel.txt"


def _is_there(look: Look) -> str | None:
    return None if look.container(CONTAINER) else f"there is no container {CONTAINER} yet"


def _wrote_it(look: Look) -> str | None:
    container = look.container(CONTAINER)
    if container is None:
        return f"there is no container {CONTAINER}"
    image = look.image(str(container.attrs["Image"]))
    if image is not None and look.read(image, _FILE) is not None:
        return f"{_FILE} is in its image already: the container has to write it"
    text = look.read(container, _FILE)
    if text is None:
        return f"in {CONTAINER} there is no {_FILE}"
    return None if text.strip() else f"{_FILE} is empty"


def _is_the_engines(look: Look) -> str | None:
    container = look.container(CONTAINER)
    written = (look.read(container, _FILE) or "").strip() if container else ""
    with engine_errors("ask the engine which kernel it runs on"):
        kernel = str(look.client.version().get("KernelVersion") or "")
    return None if written == kernel else f"it says {quoted(written)}, and the engine another one"


_THERE = Check(f"there is a container `{CONTAINER}`, running or ended", _is_there)
_WROTE = Check(f"it wrote a file `{_FILE}`, which its image does not have", _wrote_it, after=_THERE)
_SAME = Check("the file names the kernel that the engine runs on, and nothing else", _is_the_engines, after=_WROTE)

KERNEL_WITNESS = Exercise(
    name="kernel-witness",
    title="A witness of the kernel",
    task=(
        f"Let a container `{CONTAINER}`, of any image, write the release of the kernel that it runs on into its file `{_FILE}`. Keep the "
        "container."
    ),
    checks=(_THERE, _WROTE, _SAME),
    hints=(
        "`uname -r` prints the release of the kernel. Where does a shell send a command's output with `>`?",
        "Without `--rm` a container stays when its command has ended, and its files with it.",
        f'`%container run --name {CONTAINER} busybox sh -c "uname -r > {_FILE}"`',
    ),
)

EXERCISES = (KERNEL_WITNESS,)
