"""The shared libraries that programs of this machine need, as the loader itself resolves them: `ldd` asks it, or we do (ld.so(8)).

In an image all of them lie beside the C library, which is a directory that the loader searches by itself: no cache and no
LD_LIBRARY_PATH is needed, and a program's own search path (RUNPATH) need not exist there. Only the loader keeps its path, because
that is written into every program.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from dockerlab.errors import DockerlabError
from dockerlab.standins.tree import Tree

# "	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)" and, for the loader, "	/lib64/ld-linux-x86-64.so.2 (0x00007f…)"
_LINE = re.compile(r"^\s+(?:(?P<name>\S+) => )?(?P<path>/.*?) \(0x[0-9a-f]+\)$", re.MULTILINE)
_IS_LOADER = re.compile(r"ld(?:-linux.*|64|)\.so\.\d+$")
_MAPS = Path("/proc/self/maps")
_NAME_SERVICE = ("libnss_files.so.2", "libnss_dns.so.2")


def is_program(path: Path) -> bool:
    """Whether a file is a binary that the kernel runs, or a shared library, rather than a script."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def closure(programs: Sequence[Path]) -> dict[str, Path]:
    """Where each library that `programs` need lies here: name → path; the loader under its own path. None for static programs."""
    if not programs:
        return {}
    if ldd := shutil.which("ldd"):
        # Its exit code is 1 when a single one of many programs is static; its output tells all.
        said = _run(ldd, *programs).stdout
    else:
        loader = _loader()
        # 1: static. 2: a library, which names no loader.
        said = "".join(
            _run(loader, "--list", path).stdout for path in programs if _run(loader, "--verify", path).returncode in (0, 2)
        )
    return {m["name"] or m["path"]: Path(m["path"]) for m in _LINE.finditer(said)}


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"} | {"LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _loader() -> Path:
    """The loader that this process was started by: it lies in its memory."""
    mapped = {Path(words[5]) for line in _MAPS.read_text().splitlines() if len(words := line.split(None, 5)) == 6}
    for path in mapped:
        if _IS_LOADER.match(path.name):
            return path
    raise DockerlabError("no stand-in can be made: this machine has no `ldd`", hint="It comes with the C library's tools.")


def add_libraries(tree: Tree, programs: Iterable[Path], present: Tree | None = None, also: Sequence[str] = ()) -> None:
    """Puts the libraries of `programs` into `tree`, without those that `present`, a layer below, has.

    also: libraries by name that are taken where they lie beside the C library.
    """
    found = closure([path for path in programs if is_program(path)])
    c_library = next((path for name, path in found.items() if name.startswith("libc.so.")), None)
    if c_library is None:
        return
    folder = c_library.parent
    # Names are looked up through modules that the C library loads by itself, so that ldd does not list them.
    beside = [folder / name for name in (*_NAME_SERVICE, *also) if (folder / name).exists()]
    found |= {path.name: path for path in beside} | closure(beside)
    for name, path in found.items():
        place = name if name.startswith("/") else f"{folder}/{name}"
        if present is None or place not in present:
            tree.file(place, path.resolve(), 0o755)
