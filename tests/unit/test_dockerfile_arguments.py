"""How arguments are cut, against BuildKit's parser as PyPI's `dockerfile` wraps it: over every Dockerfile that this machine's packages
and this project have, and over generated instructions.

Left out is what newer ones than its BuildKit 0.12 read in another way, or it cannot hand over: see test_dockerfile_differential.py.
"""

from __future__ import annotations

import json
import os
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.parser import Dockerfile, Node
from dockerlab.dockerfile.reading import read
from dockerlab.dockerfile.words import SPACE
from dockerlab.errors import DockerfileError

buildkit = pytest.importorskip("dockerfile", reason="the differential test wants BuildKit's parser: pip install dockerfile")
hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

ROOT = Path(__file__).parents[2]
# What cannot be cut is refused by BuildKit's parser; the rest, by what reads its nodes.
UNCUT = re.compile(r"two arguments|can't find =|arrays must be comprised")


def found_dockerfiles() -> Iterator[str]:
    """Texts of Dockerfiles: files by that name, and cells of notebooks."""
    roots = [
        ROOT / "tests",
        ROOT / "notebooks",
        ROOT / "binder",
        Path(sysconfig.get_path("purelib")),
        Path("/usr/share"),
        Path("/usr/lib"),
    ]
    for root in roots:
        for folder, folders, files in os.walk(root):
            # Where there are many files and none of these.
            folders[:] = [
                name for name in folders if name not in ("node_modules", "__pycache__", "locale", "man", "icons", "zoneinfo")
            ]
            for name in files:
                path = Path(folder, name)
                if name.endswith(".ipynb"):
                    yield from cells(path)
                elif is_dockerfile(path):
                    yield path.read_text(encoding="utf-8", errors="replace")


def is_dockerfile(path: Path) -> bool:
    is_named = re.search("[Dd]ockerfile|Containerfile", path.name) and path.suffix not in (".py", ".pyc", ".gz", ".vim")
    return bool(is_named) and path.is_file() and path.stat().st_size < 1 << 16


def cells(path: Path) -> Iterator[str]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return
    for cell in notebook.get("cells", ()) if isinstance(notebook, dict) else ():
        text = "".join(cell.get("source", ()))
        if re.search("^FROM ", text, re.MULTILINE):
            yield re.sub(r"\A(%%.*\n)+", "", text)


def arguments(command: c.Command, dockerfile: Dockerfile) -> tuple[str, ...] | None:
    """A command's arguments one by one, as BuildKit's nodes have them; None where it holds them in another form."""
    match command:
        case c.From(base=base):
            words = command.node.arguments.split()
            return (base, *words[1:2], *([command.name] if command.name else []))
        case c.Arg(pairs=pairs):
            return tuple(name if value is None else f"{name}={value}" for name, value in pairs)
        case c.Env(pairs=pairs) | c.Label(pairs=pairs):
            return tuple(text for pair in pairs for text in pair)
        case c.Run(line=line) | c.Cmd(line=line) | c.Entrypoint(line=line):
            return line.words
        case c.Copy() | c.Add() if not command.inline:
            return (*command.sources, command.target)
        case c.Workdir(path=text) | c.User(user=text) | c.StopSignal(signal=text) | c.Maintainer(name=text):
            return (text,)
        case c.Volume(paths=paths):
            return paths
        case c.Shell(words=words):
            return words
    return None


def check(text: str) -> int:
    """Compares all instructions that both can read, and returns their number."""
    try:
        theirs = buildkit.parse_string(text)
    except buildkit.GoParseError as error:
        if UNCUT.search(str(error)):
            with pytest.raises(DockerfileError):
                every(parse(text))
        return 0
    dockerfile = parse(text)
    assert [node.keyword.lower() for node in dockerfile.nodes] == [(one.cmd or "").lower() for one in theirs]
    return sum(same(node, dockerfile, one) for node, one in zip(dockerfile.nodes, theirs, strict=True))


def every(dockerfile: Dockerfile) -> None:
    for node in dockerfile.nodes:
        read(node, dockerfile)


def same(node: Node, dockerfile: Dockerfile, theirs: Any) -> bool:
    try:
        command = read(node, dockerfile)
    except DockerfileError:
        return False
    ours = arguments(command, dockerfile)
    if ours is None:
        return False
    value = tuple(theirs.value)
    if isinstance(command, c.Env | c.Label):
        # Newer ones of that package have a third text for each pair, the sign between the two.
        value = value if len(value) == len(ours) else tuple(text for i, text in enumerate(value) if i % 3 < 2)
    if isinstance(command, c.From):
        value = tuple(text.lower() if i == 2 else text for i, text in enumerate(value))
    if isinstance(command, c.Volume):
        value = tuple(text.strip(SPACE) for text in value)
    assert ours == value, node.text
    return True


def test_every_dockerfile_of_this_machine_is_cut_as_in_buildkit() -> None:
    texts = {text for text in found_dockerfiles() if "\0" not in text}
    assert sum(check(text) for text in texts) > 50


KEYWORDS = ("ARG", "ENV", "LABEL", "CMD", "RUN", "COPY", "VOLUME", "USER", "SHELL", "WORKDIR")
PIECES = (
    *("a", "b", "=", "=", "'", '"', "\\", "`", " ", " ", "\t", "\x0b", "\u00a0", "\u3000", "\x1c", "$x", "é", "[", "]", ","),
    *('"c"', "['d']", '["a"]', '["a", "b"]', "[1]", "[]", "null", "{}", '"\\u0041"', '"\\x"', "1e5", "NaN", "[[", "true"),
)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(KEYWORDS), st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.booleans())
def test_generated_arguments_are_cut_as_in_buildkit(keyword: str, text: str, is_other: bool) -> None:
    # Text after an exec form.
    assume(not re.search(r"\]\s*[^\s,]", text))
    assume("--" not in text)
    check(("# escape=`\n" if is_other else "") + f"FROM a\n{keyword} {text}\n")
