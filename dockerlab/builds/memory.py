"""What is kept of builds, per engine and name, across kernels: small JSON files in the user's state folder.

    memory = Memory(folder(os.environ, sys.platform))
    past = memory.recall(slots)                  the build before, or None
    memory.files(past)                           the files of its contexts by name, "" for its own; or None
    memory.keep(slots, past, files)

A build with tags has a slot for each. One without has its place (folder, or the notebook's) and its Dockerfile: of those that are
remembered of a place it is the same Dockerfile, or the most alike.

Files are written whole or not at all, for this user alone; of two kernels that write at once the later one counts. What cannot be read
is as good as none. No value of an argument or a variable is in them: only digests (see `inputs`). Names of base images are.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from dockerlab.builds.changes import ByContext, File, Files
from dockerlab.builds.inputs import Instruction, Stage
from dockerlab.builds.reasons import Inputs

VERSION: Final = 2
MOST_FILES: Final = 100_000  # of one build
_MOST: Final = 200  # builds
_MOST_OF_A_PLACE: Final = 8
_LARGEST: Final = 64_000_000  # bytes that are read
_ALIKE: Final = 0.5


@dataclass(frozen=True)
class Past:
    """A build as it is kept. salt: of the digests. mark: of its contexts' files, "" where they are not kept. moment: when they were seen.

    image_id: of the result, or None.
    """

    inputs: Inputs
    salt: str
    mark: str = ""
    moment: int = 0
    image_id: str | None = None
    stem: str = ""


@dataclass(frozen=True)
class Slots:
    """Where a build is kept. names: of the slots. place: what those without a tag have in common, else ""."""

    names: tuple[str, ...]
    place: str = ""
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: str, tags: Sequence[str], place: str, words: Iterable[str]) -> Slots:
        """engine: its id. place: of the context. words: of the instructions."""
        if tags:
            return cls(tuple(_hash(engine, "tag", tag) for tag in tags))
        texts = tuple(words)
        common = _hash(engine, "place", place)
        return cls((f"{common}-{_hash(*texts)}",), common, texts)


def folder(environ: Mapping[str, str], platform: str) -> Path:
    """The user's, for this platform."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    if named := environ.get("XDG_STATE_HOME"):
        base = Path(named)
    elif platform == "win32":
        base = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = home / "Library" / "Application Support" if platform == "darwin" else home / ".local" / "state"
    return base / "dockerlab" / "builds"


class Memory:
    """place: the folder; it need not be there yet. Reading raises nothing; writing may raise OSError."""

    def __init__(self, place: Path) -> None:
        self._folder = place

    def recall(self, slots: Slots) -> Past | None:
        """The latest that is kept in one of the slots, or at their place the most alike."""
        for name in slots.names:
            if past := self._read(name):
                return past
        if not slots.place:
            return None
        near = [(_likeness(past, slots.words), past) for name in self._names(f"{slots.place}-") if (past := self._read(name))]
        likeness, past = max(near, key=lambda item: item[0], default=(0.0, None))
        return past if likeness >= _ALIKE else None

    def files(self, past: Past) -> ByContext | None:
        """The files of its contexts, None where they are not kept."""
        data = self._load(f"{past.stem}.files.json") if past.mark else None
        if not isinstance(data, dict) or data.get("mark") != past.mark:
            return None
        with suppress(TypeError, ValueError, KeyError, AttributeError):
            return {
                str(name): _files(files)
                for name, files in {"": data["files"], **data.get("named", {})}.items()
                if files is not None
            }
        return None

    def keep(self, slots: Slots, past: Past, files: ByContext | None) -> None:
        """files: None for those that are kept already. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(_plain(past), separators=(",", ":"))
        listing = ""
        for name in slots.names:
            if past.mark and (files is not None or name != past.stem):
                found = files if files is not None else self.files(past)
                listing = listing or _listing(past.mark, found or {})
                self._write(f"{name}.files.json", listing)
            self._write(f"{name}.json", text)
        if slots.place:
            self._forget(self._names(f"{slots.place}-")[_MOST_OF_A_PLACE:])
        self._forget(self._names("")[_MOST:])

    def _names(self, start: str) -> list[str]:
        """The slots that are taken, the latest first."""
        found = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(start) and entry.name.endswith(".json") and not entry.name.endswith(".files.json"):
                    with suppress(OSError):
                        found.append((entry.stat().st_mtime_ns, entry.name.removesuffix(".json")))
        return [name for _, name in sorted(found, reverse=True)]

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            for end in (".json", ".files.json"):
                with suppress(OSError):
                    (self._folder / f"{name}{end}").unlink()

    def _read(self, name: str) -> Past | None:
        data = self._load(f"{name}.json")
        with suppress(TypeError, ValueError, KeyError, AttributeError):
            return _past(data, name)
        return None

    def _load(self, name: str) -> Any:
        with suppress(OSError, ValueError, RecursionError), open(self._folder / name, "rb") as file:
            data = file.read(_LARGEST + 1)
            return json.loads(data) if len(data) <= _LARGEST else None
        return None

    def _write(self, name: str, text: str) -> None:
        draft = self._folder / f".{name}.{secrets.token_hex(8)}"
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(text)
            os.replace(draft, self._folder / name)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise


def _hash(*texts: str) -> str:
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _likeness(past: Past, words: Sequence[str]) -> float:
    """The share of the instructions that two Dockerfiles have in common."""
    kept = [one.words for stage in past.inputs.stages for one in stage.instructions]
    same = Counter(kept) & Counter(words)
    return same.total() / max(len(kept), len(words), 1)


# As JSON. Of the build's own context the engine may not have been told.


def _listing(mark: str, files: ByContext) -> str:
    named = {name: found for name, found in files.items() if name}
    return json.dumps({"mark": mark, "files": files.get(""), "named": named}, separators=(",", ":"))


def _files(data: Any) -> Files:
    """Raises TypeError, ValueError, AttributeError for what are none."""
    return {path: File(int(s), int(t), int(i), int(m), str(d)) for path, (s, t, i, m, d) in data.items()}


# What an instruction takes (its sources, variables replaced) stays out: the new build says it.


def _plain(past: Past) -> dict[str, Any]:
    inputs = past.inputs
    return {
        "version": VERSION,
        "builder": inputs.builder,
        "platform": inputs.platform,
        "salt": past.salt,
        "mark": past.mark,
        "moment": past.moment,
        "image": past.image_id,
        "images": {name: list(ids) for name, ids in inputs.images.items()},
        "stages": [
            {
                "index": stage.index,
                "name": stage.name,
                "base": stage.base_stage,
                "instructions": [
                    [one.keyword, one.text, one.line, one.digest, dict(one.values), one.is_trigger, one.state]
                    for one in stage.instructions
                ],
            }
            for stage in inputs.stages
        ],
    }


def _past(data: Any, stem: str) -> Past:
    """Raises TypeError, ValueError, KeyError, AttributeError for what is none."""
    if data["version"] != VERSION:
        raise ValueError("another version")
    stages = []
    for stage in data["stages"]:
        instructions = tuple(
            replace(
                Instruction(str(keyword), str(text), int(line), str(digest), {str(k): str(v) for k, v in values.items()}),
                is_trigger=bool(is_trigger),
                state=str(state),
            )
            for keyword, text, line, digest, values, is_trigger, state in stage["instructions"]
        )
        base = None if stage["base"] is None else int(stage["base"])
        stages.append(Stage(int(stage["index"]), str(stage["name"]), base, instructions))
    images = {str(name): tuple(map(str, ids)) for name, ids in data["images"].items()}
    inputs = Inputs(str(data["builder"]), str(data["platform"]), tuple(stages), images)
    image = data["image"]
    return Past(inputs, str(data["salt"]), str(data["mark"]), int(data["moment"]), None if image is None else str(image), stem)
