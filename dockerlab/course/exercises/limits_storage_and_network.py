"""The exercises of `notebooks/07-limits-storage-and-network.ipynb`.

A limit counts as it was asked for, on an engine that cannot keep one, too; where it can, what is read inside has to go with it.
"""

from __future__ import annotations

from dockerlab import containers
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

MODEST, READER, VOLUME = "modest", "reader", "notes"
_MIB = 1 << 20
_MEMORY, _CPUS = 32 * _MIB, 0.25
_FOLDER, _FILE = "/notes", "/notes/today.txt"


def _runs(look: Look, name: str) -> str | None:
    container = look.container(name)
    if container is None:
        return f"there is no container {name} yet"
    return None if container.facts.state == "running" else f"{name} does not run: {container.facts.word}"


def _modest_runs(look: Look) -> str | None:
    return _runs(look, MODEST)


def _memory_is_limited(look: Look) -> str | None:
    limit = containers.limits(MODEST, client=look.client).memory
    if not limit.asked:
        return "its memory has no limit"
    if limit.asked != _MEMORY:
        return f"it may have {limit.asked / _MIB:g} MiB"
    return None if limit.agrees else "the engine does not keep that limit, though it says so"


def _cpus_are_limited(look: Look) -> str | None:
    limit = containers.limits(MODEST, client=look.client).cpus
    if not limit.asked:
        return "its processor time has no limit"
    if limit.asked != _CPUS:
        return f"it may use {limit.asked:g} processors"
    return None if limit.agrees else "the engine does not keep that limit, though it says so"


def _has_volume(look: Look) -> str | None:
    return None if look.volume(VOLUME) else f"there is no volume {VOLUME} yet"


def _reader_has_it(look: Look) -> str | None:
    if said := _runs(look, READER):
        return said
    container = look.container(READER)
    mounts = look.mounts(container) if container else {}
    if VOLUME not in mounts.values():
        return f"{READER} was started without the volume"
    return None if mounts.get(_FOLDER) == VOLUME else f"{READER} has the volume, but not at {_FOLDER}"


def _note_is_there(look: Look) -> str | None:
    container = look.container(READER)
    if container is None:
        return f"there is no container {READER}"
    ran = look.run(container, "cat", _FILE)
    if ran.exit_code:
        return f"in {READER} there is no {_FILE}"
    return None if ran.output.strip() else f"{_FILE} is empty"


def _others_are_gone(look: Look) -> str | None:
    others = [
        one.facts for one in look.containers(stopped=True) if VOLUME in look.mounts(one).values() and one.facts.name != READER
    ]
    named = [one.name for one in others if one.name]
    if not others:
        return None
    return f"{quoted(named[0])} has the volume, too" if named else "a container without a name has the volume, too"


_RUNS = Check(f"a container `{MODEST}` runs", _modest_runs)
_MEMORY_CHECK = Check("it may have 32 MiB of memory", _memory_is_limited, after=_RUNS)
_CPUS_CHECK = Check("it may use a quarter of a processor", _cpus_are_limited, after=_RUNS)

MODEST_SHARE = Exercise(
    name="modest-share",
    title="A modest share",
    task=f"Start a container `{MODEST}` of any image, which may have 32 MiB of memory and a quarter of a processor, and let it run.",
    checks=(_RUNS, _MEMORY_CHECK, _CPUS_CHECK),
    hints=(
        "Two flags of `%container run` set the limits; you have seen both above.",
        "`--memory 32m`, and `--cpus` with a quarter as a decimal number.",
        f"`%container run -d --name {MODEST} --memory 32m --cpus 0.25 busybox sleep 600`",
    ),
)

_VOLUME = Check(f"there is a volume `{VOLUME}`", _has_volume)
_READER = Check(f"a container `{READER}` runs, with the volume at `{_FOLDER}`", _reader_has_it, after=_VOLUME)
_NOTE = Check(f"it finds words in `{_FILE}`", _note_is_there, after=_READER)
_ALONE = Check("the container that wrote them is gone", _others_are_gone, after=_READER)

KEPT_NOTES = Exercise(
    name="kept-notes",
    title="Notes that are kept",
    task=(
        f"Let one container write a line into `{_FILE}` on a volume `{VOLUME}`, and remove it. Then start another one, `{READER}`, which "
        "runs and finds the line there."
    ),
    checks=(_VOLUME, _READER, _NOTE, _ALONE),
    hints=(
        f"`-v {VOLUME}:{_FOLDER}` gives a container the volume; `--rm` removes the container when its command has ended.",
        f'The first: `%container run --rm -v {VOLUME}:{_FOLDER} busybox sh -c "echo hello > {_FILE}"`',
        f"The second: `%container run -d --name {READER} -v {VOLUME}:{_FOLDER} busybox sleep 600`",
    ),
)

EXERCISES = (MODEST_SHARE, KEPT_NOTES)
