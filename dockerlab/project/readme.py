"""The README of an exported project: the `docker` commands for each magic of the notebook, and, unseen on a page, the magics themselves.

    <!-- %%dockerfile -t app -->                 what `dockerlab import` reads; `file=` names the Dockerfile where it is not `Dockerfile`
    ```sh
    docker build -t app .
    ```

What looks like a secret is `***` in both; what a cell feeds to a command, and a Dockerfile, stand as they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.project.cells import in_source
from dockerlab.project.command import Command, masked

NAME: Final = "README.md"
OTHER_NAME: Final = "README.dockerlab.md"  # where the project has a README of its own
MARK: Final = "<!-- Written by `dockerlab export`; `dockerlab import` reads it. -->"

_ENTRY: Final = re.compile(
    r"^<!-- (?:(?P<build>%%dockerfile\b[^\n]*?)(?: \| file=(?P<file>[^\n]+?))?|(?P<other>\S[^\n]*?)) -->\n"
    r"(?P<fence>`{3,})sh\n(?P<command>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_HERE: Final = re.compile(r"^[^\n]* <<'(?P<end>\w+)'\n(?P<body>.*?)^(?P=end)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A magic of the notebook. spelt: as it is typed. body: what is fed to its command, or None. file: of a build, its Dockerfile."""

    spelt: str
    command: Command
    body: str | None = None
    file: str = ""


def written(title: str, entries: Sequence[Entry], notes: Sequence[str]) -> str:
    """The README's text."""
    builds = [entry for entry in entries if entry.file]
    others = [entry for entry in entries if not entry.file]
    parts = [MARK, f"# {title}", "Made from a notebook. In this folder, in a shell:"]
    for heading, group in (("## Build", builds), ("## Then", others)):
        if group:
            parts.append(heading)
        parts += [_entry(entry) for entry in group]
    if any(re.search(r"\{[a-zA-Z_]", entry.spelt) for entry in entries):
        parts.append("A name in braces is a variable of the notebook: put its value there.")
    if any("***" in entry.command.line for entry in entries):
        parts.append("`***` stands for what looks like a secret: put it there yourself.")
    if notes:
        parts += ["## What is not here", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def _entry(entry: Entry) -> str:
    longest = max((len(run) for run in re.findall(r"`+", entry.command.line)), default=0)
    fence = "`" * max(3, longest + 1)
    file = f" | file={_commented(entry.file)}" if entry.file not in ("", "Dockerfile") else ""
    notes = "".join(f"\n\n{note}" for note in entry.command.notes)
    return f"<!-- {_hidden(entry.spelt)}{file} -->\n{fence}sh\n{entry.command.line}\n{fence}{notes}"


def _hidden(spelt: str) -> str:
    """A magic as it is typed, safe in a comment: without secrets."""
    start, line = re.fullmatch(r"((?:[\w.\[\], ]+ = )?%%?\w+)(.*)", spelt, re.DOTALL).groups()  # type: ignore[union-attr]  # of a Magic
    words = shlex.split(line)
    hidden = masked(words)
    shown = line if hidden == words else "".join(f" {shlex.quote(word)}" for word in hidden)
    return _commented(f"{start}{shown}")


def _commented(text: str) -> str:
    """Text that does not end the comment that it stands in."""
    return text.replace("-->", "--&gt;")


def _told(text: str) -> str:
    """What `_commented` was given."""
    return text.replace("--&gt;", "-->")


def title_of(text: str) -> str:
    """Its title; "" where it has none any more."""
    match = re.search(r"^# (.+)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


@dataclass(frozen=True)
class Kept:
    """A magic that a README keeps."""

    spelt: str
    file: str
    body: str | None


def is_ours(text: str) -> bool:
    """Whether `dockerlab export` wrote it."""
    return text.startswith(MARK)


def kept(text: str) -> Iterator[Kept]:
    """The magics that a README of ours keeps, in its order."""
    for match in _ENTRY.finditer(text):
        spelt = _told(match["build"] or match["other"])
        found = next(in_source(spelt), None)
        if found is None:
            continue
        is_build = found.name == "dockerfile"
        fed = _HERE.search(match["command"]) if spelt.startswith("%%") and not is_build else None
        yield Kept(spelt, _told(match["file"] or "Dockerfile") if is_build else "", fed["body"] if fed else None)
