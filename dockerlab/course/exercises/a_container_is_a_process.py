"""The exercises of `notebooks/01-a-container-is-a-process.ipynb`, which starts a container lighthouse with one process."""

from __future__ import annotations

from dockerlab import containers
from dockerlab.course.common import runs
from dockerlab.course.look import Look
from dockerlab.course.model import Check, Exercise
from dockerlab.errors import Conflict, NotFound

LIGHTHOUSE, FIRST, SECOND = "lighthouse", "bottle-1", "bottle-2"
_MESSAGE = "/message.txt"


def _sleeps(seconds: int, after: Check) -> Check:
    def lacks(look: Look) -> str | None:
        try:
            commands = containers.top(LIGHTHOUSE, client=look.client).commands
        except (Conflict, NotFound):
            return f"{LIGHTHOUSE} does not run any more"
        is_there = any(command.split()[-2:] == ["sleep", str(seconds)] for command in commands)
        return None if is_there else f"there is no process `sleep {seconds}` in it"

    return Check(f"a process `sleep {seconds}` is in it", lacks, after)


def _has_message(look: Look) -> str | None:
    bottle = look.container(FIRST)
    text = look.read(bottle, _MESSAGE) if bottle else None
    if text is None:
        return f"{FIRST} has no file {_MESSAGE}"
    return None if text.strip() else f"{_MESSAGE} in {FIRST} is empty"


def _has_none(look: Look) -> str | None:
    bottle = look.container(SECOND)
    return f"{SECOND} has one, too" if bottle and look.read(bottle, _MESSAGE) is not None else None


_RUNS = runs(LIGHTHOUSE, "busybox")
_BOTTLES = (runs(FIRST, "busybox"), runs(SECOND, "busybox"))

SECOND_PROCESS = Exercise(
    name="second-process",
    title="A second process",
    task=f"Start `sleep 1800` in the container `{LIGHTHOUSE}`, beside the process that it has.",
    checks=(_RUNS, _sleeps(3600, _RUNS), _sleeps(1800, _RUNS)),
    hints=(
        "`%container exec NAME COMMAND` runs a command in a container that runs, and waits for it to end.",
        "With `-d` it does not wait.",
        f"`%container exec -d {LIGHTHOUSE} sleep 1800`",
    ),
)

MESSAGE_IN_A_BOTTLE = Exercise(
    name="message-in-a-bottle",
    title="A message in a bottle",
    task=f"Start two containers of `busybox` that sleep, `{FIRST}` and `{SECOND}`. Put a file `{_MESSAGE}` into the first, not the second.",
    checks=(
        *_BOTTLES,
        Check(f"`{FIRST}` has a file `{_MESSAGE}` with something in it", _has_message, _BOTTLES[0]),
        Check(f"`{SECOND}` has none", _has_none, _BOTTLES[1]),
    ),
    hints=(
        f"`%container run -d --name {FIRST} --replace busybox sleep 600` starts one of them.",
        f"A cell that begins with `%%container exec {FIRST}` is a shell in that container.",
        f"In such a cell: `echo hello > {_MESSAGE}`",
    ),
)

EXERCISES = (SECOND_PROCESS, MESSAGE_IN_A_BOTTLE)
