"""dpkg's database of this machine: which packages are installed, what each needs, and which files are its own. Read only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DATABASE = Path("/var/lib/dpkg")
_FIELD = re.compile(r"^(?P<name>[\w-]+):[ \t]*(?P<value>.*(?:\n[ \t].*)*)", re.MULTILINE)
_INSTALLED = "install ok installed"


@dataclass(frozen=True)
class Package:
    """An installed package. stanza: its text in dpkg's status file. needs: of each dependency, the names of which one will do."""

    name: str
    architecture: str
    is_essential: bool
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    stanza: str


def installed(database: Path = DATABASE) -> dict[str, Package]:
    """The installed packages by name; of one that is there for several architectures, the first."""
    found: dict[str, Package] = {}
    for stanza in (database / "status").read_text(encoding="utf-8").split("\n\n"):
        fields = {match["name"]: match["value"] for match in _FIELD.finditer(stanza)}
        if fields.get("Status") == _INSTALLED and fields["Package"] not in found:
            found[fields["Package"]] = _package(fields, stanza.strip("\n"))
    return found


def _package(fields: Mapping[str, str], stanza: str) -> Package:
    needs = [text for name in ("Pre-Depends", "Depends") for text in _split(fields.get(name, ""), ",")]
    return Package(
        name=fields["Package"],
        architecture=fields.get("Architecture", ""),
        is_essential=fields.get("Essential") == "yes",
        needs=tuple(tuple(_name(choice) for choice in _split(text, "|")) for text in needs),
        provides=tuple(_name(text) for text in _split(fields.get("Provides", ""), ",")),
        stanza=stanza,
    )


def closure(packages: Mapping[str, Package], wanted: Iterable[str]) -> dict[str, Package]:
    """Those of the packages that are wanted, and all that they need, by name in alphabetical order."""
    providers: dict[str, list[str]] = {}
    for package in packages.values():
        for name in (package.name, *package.provides):
            providers.setdefault(name, []).append(package.name)
    found: set[str] = set()
    waiting = [name for name in wanted if name in packages]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for choices in packages[name].needs:
            there = [provider for choice in choices for provider in providers.get(choice, ())]
            if not found.intersection(there):
                waiting += there[:1]
    return {name: packages[name] for name in sorted(found)}


def records(package: Package, database: Path = DATABASE) -> Iterator[Path]:
    """dpkg's own files about a package: its list of files, its scripts."""
    for stem in (package.name, f"{package.name}:{package.architecture}"):
        yield from sorted((database / "info").glob(f"{stem}.*"))


def files(package: Package, database: Path = DATABASE) -> list[str]:
    """The paths that a package owns, directories included, as dpkg lists them."""
    lists = [path for path in records(package, database) if path.suffix == ".list"]
    return [line for path in lists for line in path.read_text(encoding="utf-8").splitlines() if line not in ("", "/.")]


def merged(path: str) -> str:
    """Where a path of a package lies on a system whose /bin, /sbin and /lib are links into /usr; else the path itself."""
    first, _, rest = path.lstrip("/").partition("/")
    top = Path("/", first)
    return f"/{os.readlink(top).strip('/')}/{rest}" if rest and first != "usr" and top.is_symlink() else path


def _split(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _name(text: str) -> str:
    """`libc6 (>= 2.36)`, `perl:any` → the name."""
    return re.split(r"[\s(:\[<]", text, maxsplit=1)[0]
