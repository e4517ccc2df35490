"""The rooms of the house: what each may import, held against what the code imports.

A room is a file or a folder of `dockerlab`. Imports under `if TYPE_CHECKING:` do not count: they name types, and nothing runs.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dockerlab"

# Rooms that each room may import, besides itself.
_PURE = {"errors", "reference", "dockerfile", "image", "wire", "faces"}
_CLIENT = {
    "attempts",
    "contexts",
    "credentials",
    "drawing",
    "embedded",
    "endpoints",
    "transport",
    "client",
    "engines",
    "hijacking",
    "roster",
    "duplex",
    "stream",
    "images",
}
_VERBS = {"builds", "containers", "pipelines", "standins"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "ledger": {"errors", "reference"},
    "reference": {"errors"},
    "dockerfile": {"errors", "reference"},
    "image": {"errors", "reference", "dockerfile", "wire"},
    "wire": {"errors"},
    "faces": {"errors", "reference", "dockerfile", "image", "wire"},
    "drawing": {"faces"},
    "embedded": {"errors"},
    "transport": {"errors", "ledger"},
    "contexts": set(),
    "endpoints": {"errors", "contexts", "embedded", "transport"},
    "attempts": {"errors", "endpoints", "transport"},
    "client": {"errors", "attempts", "embedded", "endpoints", "transport"},
    "roster": {"errors", "attempts", "contexts", "embedded", "endpoints", "client"},
    "engines": {"errors", "contexts", "embedded", "endpoints", "client", "faces", "roster"},
    "credentials": {"errors", "wire"},
    "registry": {"errors", "reference"},
    "stream": {"errors", "client", "hijacking", "wire"},
    "duplex": set(),
    "hijacking": {"client", "duplex"},
    "images": {*_PURE, "client", "credentials", "registry", "stream", "hijacking", "drawing", "ledger"},
    "builds": {*_PURE, *_CLIENT, "containers", "ledger", "pipelines"},
    "containers": {*_PURE, *_CLIENT} - {"dockerfile"},
    "pipelines": {*_PURE, *_CLIENT, "containers"},
    "standins": {*_PURE, *_CLIENT, "builds", "containers", "ledger"},
    "course": {*_PURE, *_CLIENT, "containers"},
    "compose": {*_PURE, *_CLIENT, "containers"},
    "doctor": {*_PURE, *_CLIENT},
    "project": {*_PURE, *_CLIENT, "builds", "containers"},
    "machine": {"errors", "dockerfile", "embedded", "client", "engines", "faces", "containers"},
    "belongings": {"errors", "client", "faces"},
    "networks": {"errors", "client", "faces", "belongings"},
    "volumes": {"errors", "client", "faces", "belongings"},
    "swarm": {"errors", "dockerfile", "client", "faces", "belongings", "containers"},
    "services": {"errors", "reference", "dockerfile", "wire", "client", "credentials", "faces", "containers", "swarm"},
    "notebook": {
        *_PURE,
        *_CLIENT,
        *_VERBS,
        "compose",
        "course",
        "doctor",
        "machine",
        "networks",
        "project",
        "services",
        "swarm",
        "volumes",
    },
    "testing": {*_PURE, *_CLIENT, *_VERBS, "course", "ledger", "notebook"},
    "cli": {*_PURE, *_CLIENT, *_VERBS, "course", "doctor", "project"},
    "engine": {"errors", "reference", "dockerfile", "image", "registry", "wire"},
}

# What else each room may import, besides the standard library.
_DOCKER = {"docker", "requests", "urllib3"}
_DISPLAY = {"IPython", "anywidget", "traitlets"}
THIRD_PARTY: dict[str, set[str]] = {
    **dict.fromkeys((*_CLIENT, *_VERBS, "doctor"), _DOCKER),
    "swarm": {"requests"},
    "notebook": _DOCKER | _DISPLAY,
    "project": {"nbformat"},
    "testing": _DOCKER | _DISPLAY | {"pytest"},
    "engine": {"h11", "httpx", "zstandard"},
    "image": {"yaml"},
    "compose": {"yaml"},
    "registry": {"httpx"},
    "wire": {"h2", "zstandard"},
}
THIRD_PARTY["containers"] = THIRD_PARTY["containers"] | {"backports"}
THIRD_PARTY["course"] = {"backports", "nbconvert", "nbformat"}
# What is imported under another name than it is installed by.
DISTRIBUTIONS = {"yaml": "pyyaml"}
# Of these, what is imported only by what needs it: an extra brings it, itself or with the package that stands here.
OPTIONAL = {"nbconvert": "nbconvert", "pytest": "pytest"}

# Missing on Windows, some of them on macOS too.
UNIX_ONLY = {
    *("_curses", "_posixsubprocess", "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "pty", "pwd", "readline"),
    *("resource", "spwd", "syslog", "termios", "tty"),
}
CLIENT_SIDE = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py" and "engine" not in path.relative_to(PACKAGE).parts[:1]
)


@dataclass(frozen=True)
class Import:
    """An import as it stands in a file: `dockerlab.<room>…`, the front door `dockerlab`, or a top-level module."""

    path: Path
    line: int
    module: str
    room: str

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def target(self) -> str | None:
        """The room that is imported, '' for the front door, None for what is not ours."""
        return self.module.partition(".")[2].partition(".")[0] if self.top == "dockerlab" else None

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.room or 'the front door'} imports {self.module}"


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file that run, those inside functions and `import_module("…")` included."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        for module in _modules(node):
            yield Import(path, getattr(node, "lineno", 0), module, room_of(path))


def _modules(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module="dockerlab", names=names):
            # The version is the one fact that stands in the front door itself.
            names = [name for name in names if name.name != "__version__"]
            return [f"dockerlab.{name.name}" if _is_room(name.name) else "dockerlab" for name in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
        case ast.Call(func=ast.Name("import_module"), args=[ast.Constant(str(module)), *_]):
            return [module]
        case ast.Call(func=ast.Name("import_module"), args=[ast.JoinedStr([ast.Constant(str(start)), *_]), *_]):
            return [start.rpartition(".")[0]]
    return []


def _is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


ALL = [found for path in sorted(PACKAGE.rglob("*.py")) for found in imports(path)]


def test_the_table_has_a_row_for_every_room() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {""}
    assert rooms <= ROOMS.keys()
    assert {target for allowed in ROOMS.values() for target in allowed} <= ROOMS.keys()


def test_a_room_imports_only_what_the_table_allows() -> None:
    wrong = [str(i) for i in ALL if i.room and i.target is not None and i.target != i.room and i.target not in ROOMS[i.room]]
    assert not wrong, "\n".join(wrong)


def test_a_room_imports_only_its_third_party_packages() -> None:
    foreign = [i for i in ALL if i.room and i.target is None and i.top not in sys.stdlib_module_names]
    wrong = [str(i) for i in foreign if i.top not in THIRD_PARTY.get(i.room, set())]
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute() -> None:
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_what_is_imported_is_a_declared_dependency_and_the_other_way_round() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in project["dependencies"]}
    tops = {i.top.lower() for i in ALL if i.target is None and i.top not in sys.stdlib_module_names}
    imported = {DISTRIBUTIONS.get(top, top) for top in tops}
    assert imported - OPTIONAL.keys() == declared
    extras = {re.split(r"[^\w-]", r)[0].lower() for extra in project["optional-dependencies"].values() for r in extra}
    assert set(OPTIONAL.values()) <= extras


def test_each_dependency_is_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in wanted}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    justified = set(re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE))
    assert justified == names


def test_the_client_side_names_no_unix_only_module() -> None:
    wrong = [str(i) for i in ALL if i.room != "engine" and i.top in UNIX_ONLY]
    assert not wrong, "\n".join(wrong)


# Docker's and IPython's own modules have their ways on each platform; what is loaded after them must do without.
_BLOCKED = """
import importlib, sys, traceback
import docker, IPython, IPython.core.completer, requests, urllib3
blocked = set(sys.argv[1].split())
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in blocked:
            raise ImportError(f"{name} is not there on Windows", name=name)
for name in blocked:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Block())
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ImportError:
        traceback.print_exc()
"""


def test_the_client_side_imports_where_the_unix_only_modules_are_missing() -> None:
    command = [sys.executable, "-c", _BLOCKED, " ".join(UNIX_ONLY), *CLIENT_SIDE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
