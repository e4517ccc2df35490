"""The exercises of `notebooks/02-kernel-and-userland.ipynb`."""

from __future__ import annotations

from dockerlab.containers import Container
from dockerlab.course.common import is_there, runs
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

FIRST, SECOND, BOX, COMMAND = "system-1", "system-2", "tool-box", "host-kernel"
_RELEASE = "/etc/os-release"


def _kernel(look: Look, container: Container | None) -> str:
    return look.run(container, "uname", "-r").output.strip() if container is not None else ""


def _one_kernel(look: Look) -> str | None:
    kernels = {_kernel(look, look.container(name)) for name in (FIRST, SECOND)}
    return None if len(kernels) == 1 and "" not in kernels else "they do not run on one kernel"


def _two_systems(look: Look) -> str | None:
    first, second = (look.container(name) for name in (FIRST, SECOND))
    if first is None or second is None:
        return "one of them is gone"
    return None if look.read(first, _RELEASE) != look.read(second, _RELEASE) else f"both have the same {_RELEASE}"


def _has_command(look: Look) -> str | None:
    image = look.image(BOX)
    found = [node for node in image.files.walk() if node.name == COMMAND and not node.is_directory] if image else []
    if not found:
        return f"no file in it is called {COMMAND}"
    return (
        None
        if any(node.file.mode & 0o111 or node.file.kind == "symlink" for node in found)
        else "it may not be executed: `chmod +x`"
    )


def _tells_kernel(look: Look) -> str | None:
    box = look.container(BOX)
    if box is None:
        return f"{BOX} is gone"
    ran = look.run(box, COMMAND)
    if ran.exit_code:
        return f"`{COMMAND}` ends with exit code {ran.exit_code} in it"
    release = _kernel(look, box)
    return (
        None if release and release in ran.output else f"`{COMMAND}` says {quoted(ran.output)}, which is not the kernel's release"
    )


_FIRST, _SECOND = runs(FIRST, "busybox"), runs(SECOND, "debian")
_IMAGE, _RUNS = is_there(BOX), runs(BOX, BOX)
_COMMAND = Check(f"the command `{COMMAND}` is in it", _has_command, _IMAGE)

TWO_SYSTEMS = Exercise(
    name="two-systems",
    title="Two systems on one kernel",
    task=f"Start two containers that go on running: `{FIRST}` from `busybox`, `{SECOND}` from `debian`.",
    checks=(
        _FIRST,
        _SECOND,
        Check("both run on one kernel", _one_kernel, _SECOND),
        Check("their files are those of two systems", _two_systems, _SECOND),
    ),
    hints=(
        "A container runs as long as its program does. `sleep 600` takes ten minutes, and both images have it.",
        f"`%container run -d --name {FIRST} --replace busybox sleep 600`",
    ),
)

TOOL_BOX = Exercise(
    name="tool-box",
    title="A tool of your own",
    task=f"Build an image `{BOX}` with a command `{COMMAND}` that prints the kernel's release; let a container `{BOX}` of it sleep.",
    checks=(_IMAGE, _COMMAND, _RUNS, Check("called in there, it prints the release of the kernel", _tells_kernel, _RUNS)),
    hints=(
        "A command is a file in a folder such as `/bin`, which may be executed. `kernel-teller` above is built so.",
        f"A cell `%%context {COMMAND}` with two lines: `#!/bin/sh` and `uname -r`.",
        f"A cell `%%dockerfile -t {BOX}` with `FROM busybox`, `COPY {COMMAND} /bin/` and `RUN chmod +x /bin/{COMMAND}`.",
        f"`%container run -d --name {BOX} --replace {BOX} sleep 600`",
    ),
)

EXERCISES = (TWO_SYSTEMS, TOOL_BOX)
