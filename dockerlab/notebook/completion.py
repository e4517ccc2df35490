"""<TAB> in a line of our magics, and in the body of a `%%dockerfile` cell.

What can stand at the cursor follows from the magic's own parsers (`parsers()` of each `*_magic.py`): verbs, flags, and by the
metavar of the argument or the flag whose turn it is, the names of images, containers, contexts, stages and files. No flag is
written down twice.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion

from dockerlab.dockerfile import INSTRUCTIONS, parse, stages
from dockerlab.errors import DockerfileError, UsageError
from dockerlab.notebook import MAGICS
from dockerlab.notebook.arguments import Parser, takes_value
from dockerlab.notebook.expand import split

if TYPE_CHECKING:
    from dockerlab.notebook.session import Session

# `%container …`, `c = %container …`, `%%container …`
_LINE = re.compile(rf"\s*(?:[\w.\[\], ]+=\s*)?(?P<percent>%%?)(?P<name>{'|'.join(MAGICS)})\s(?P<rest>.*)", re.DOTALL)
_FROM = re.compile(r"\s*FROM\s+(?:--platform=\S+\s+)?(?P<image>\S*)", re.IGNORECASE)
_FROM_STAGE = re.compile(r".*\s(?:--from=|--mount=\S*\bfrom=)(?P<stage>[^\s,]*)", re.DOTALL)
_KEYWORD = re.compile(r"\s*(?P<keyword>[A-Za-z]*)")
_CURSOR = "DOCKERLABCURSOR"


@dataclass(frozen=True)
class Answer:
    """What can stand at the cursor. fragment: what of it is typed already. choices: whole words, each with its kind, best first."""

    fragment: str
    choices: tuple[tuple[str, str], ...] = ()


def complete(session: Session, context: CompletionContext) -> dict[str, Any]:
    """IPython's matcher, API version 2. Others are silent where we have an answer."""
    answer = answer_at(session, context.full_text.split("\n"), context.cursor_line, context.cursor_position)
    found = [SimpleCompletion(text=text, type=kind) for text, kind in answer.choices]
    return {"completions": found, "matched_fragment": answer.fragment, "suppress": bool(found), "ordered": True}


def answer_at(session: Session, lines: Sequence[str], line: int, column: int) -> Answer:
    """What can stand in `lines` at the 0-based line and column."""
    typed = lines[line][:column]
    first = next((i for i, text in enumerate(lines) if text.strip()), 0)
    cell = _LINE.fullmatch(f"{lines[first]} ")
    if line > first and cell and cell["percent"] == "%%":
        return _in_body(session, lines[first + 1 : line], typed) if cell["name"] == "dockerfile" else Answer("")
    match = _LINE.fullmatch(typed)
    return (
        _in_line(_Place(session, match["name"], match["percent"] == "%%", lines[first + 1 :]), match["rest"])
        if match
        else Answer("")
    )


@dataclass(frozen=True)
class _Place:
    """magic: its name. is_cell: written with %%. body: the lines of the cell under it."""

    session: Session
    magic: str
    is_cell: bool
    body: Sequence[str]

    def parsers(self) -> dict[str, Parser]:
        found: dict[str, Parser] = import_module(f"dockerlab.notebook.{self.magic}_magic").parsers()
        return found


def _in_line(place: _Place, rest: str) -> Answer:
    """What can follow a magic's name; rest: what is typed after it."""
    word = re.split(r"\s", rest)[-1]
    try:
        before = split(rest[: len(rest) - len(word)])
    except UsageError:
        return Answer("")  # within quotes
    if re.search(r"['\"]", word):
        return Answer("")
    parsers = place.parsers()
    verbs = {verb: parser for verb, parser in parsers.items() if verb}
    if "" in parsers and (place.is_cell or not verbs):
        return _in_verb(place, parsers[""], before, word)
    if not before:
        return _choices(word, verbs, "verb")
    parser = verbs.get(before[0])
    return _in_verb(place, parser, before[1:], word) if parser else Answer(word)


def _in_verb(place: _Place, parser: Parser, before: Sequence[str], word: str) -> Answer:
    """What can follow a verb. before: the whole words after it; word: the one at the cursor."""
    turn = _turn(parser, before)
    if turn.value:
        return _values(place, parser, turn.value, word)
    flag, equals, value = word.partition("=")
    if not turn.flags_ended and equals and flag in parser.flags:
        return _values(place, parser, parser.flags[flag], value)
    names = _values(place, parser, turn.argument, word) if turn.argument else Answer(word)
    if turn.flags_ended or (word and not word.startswith("-")):
        return names
    flags = [flag for flag, action in parser.flags.items() if flag not in turn.given or _repeats(action)]
    # Without a dash typed, a long name says more; `-` alone lists both.
    spelt = [flag for flag in flags if word or flag.startswith("--")]
    return Answer(word, names.choices + _choices(word, sorted(spelt, key=_by_name), "flag").choices)


@dataclass(frozen=True)
class _Turn:
    """value: the flag whose value is next. argument: the one whose turn it is. given: the flags there are, in every spelling."""

    value: argparse.Action | None
    argument: argparse.Action | None
    flags_ended: bool
    given: frozenset[str]


def _turn(parser: Parser, before: Sequence[str]) -> _Turn:
    value: argparse.Action | None = None
    given: set[str] = set()
    count, ended = 0, False
    for word in before:
        ended = ended or _is_command(parser, count)
        if value:
            value = None
        elif ended or not word.startswith("-") or word == "-":
            count += 1
        elif word == "--":
            ended = True
        else:
            flags = _flags_in(parser, word)
            given.update(spelling for action in flags for spelling in action.option_strings)
            value = flags[-1] if flags and flags[-1].nargs is None and _is_bare(flags[-1], word) else None
    ended = ended or _is_command(parser, count)
    argument = parser.arguments[count] if count < len(parser.arguments) else parser.arguments[-1] if parser.arguments else None
    if argument and count >= len(parser.arguments) and argument.nargs not in ("+", "*"):
        argument = None
    return _Turn(value, argument, ended, frozenset(given))


def _is_command(parser: Parser, count: int) -> bool:
    """Whether, `count` arguments given, all that follows belongs to the command."""
    return count < len(parser.arguments) and parser.arguments[count].nargs == argparse.REMAINDER


def _flags_in(parser: Parser, word: str) -> list[argparse.Action]:
    """The flags in one word: `--tag=x`, `-dp8080`."""
    if word.startswith("--"):
        action = parser.flags.get(word.partition("=")[0])
        return [action] if action else []
    found = []
    for letter in word[1:]:
        action = parser.flags.get(f"-{letter}")
        if action is None:
            break
        found.append(action)
        if takes_value(action):
            break
    return found


def _is_bare(action: argparse.Action, word: str) -> bool:
    """Whether a flag that takes a value stands there without it: `--tag`, `-dp`."""
    return word in action.option_strings or (not word.startswith("--") and f"-{word[-1]}" in action.option_strings)


def _repeats(action: argparse.Action) -> bool:
    return isinstance(action.default, list)


def _by_name(flag: str) -> str:
    return flag.lstrip("-").lower()


def _values(place: _Place, parser: Parser, action: argparse.Action, word: str) -> Answer:
    """What can be a flag's or an argument's value."""
    if action.choices is not None:
        return _choices(word, [str(choice) for choice in action.choices], "value")
    source = _SOURCES.get(action.metavar if isinstance(action.metavar, str) else "")
    kind, names = source(place, parser, word) if source else ("", [])
    return _choices(word, names, kind)


def _images(place: _Place, parser: Parser | None, word: str) -> tuple[str, Iterable[str]]:
    found = place.session.names.images()
    return "image", found if ":" in word else [name.removesuffix(":latest") for name in found]


def _containers(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "container", place.session.names.containers(parser.containers)


def _contexts(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    from dockerlab.engines import targets

    return "context", targets()


def _stages(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "stage", _stage_names(place.body)


def _context_files(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "file", sorted(place.session.files)


def _files(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "file", _on_disk(word)


def _folders(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "folder", [path for path in _on_disk(word) if path.endswith("/")]


def _exercises(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    from dockerlab.course import course
    from dockerlab.notebook.exercise_magic import own_exercises

    return "exercise", course(own_exercises(place.session)).names


def _nodes(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "node", ["self", *place.session.names.nodes()]


def _services(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "service", place.session.names.services()


def _scaled(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "service", [f"{name}=" for name in place.session.names.services()]


def _actions(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "verb", ("create", "ls", "inspect", "rm")


def _copied(place: _Place, parser: Parser, word: str) -> tuple[str, Iterable[str]]:
    return "file", [*(f"{name}:" for name in place.session.names.containers()), *_on_disk(word)]


# What an argument is called in its parser → the names that can stand there.
_SOURCES: dict[str, Callable[[_Place, Parser, str], tuple[str, Iterable[str]]]] = {
    "IMAGE": _images,
    "IMAGE|FILE": _images,
    "CONTAINER": _containers,
    "CONTEXT": _contexts,
    "EXERCISE": _exercises,
    "STAGE": _stages,
    "PATH": _context_files,
    "FILE": _files,
    "DIR": _folders,
    "SOURCE": _copied,
    "DESTINATION": _copied,
    "NODE": _nodes,
    "SERVICE": _services,
    "SERVICE=REPLICAS": _scaled,
    "ACTION": _actions,
}


def _on_disk(typed: str) -> list[str]:
    """The paths that begin as typed, folders with a `/` at the end; hidden ones only where a dot is typed."""
    folder, _, start = typed.rpartition("/")
    root = f"{folder}/" if "/" in typed else ""
    try:
        with os.scandir(os.path.expanduser(root) or ".") as entries:
            names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    except OSError:
        return []  # no such folder, or not ours to read: nothing to offer
    return sorted(root + name for name in names if not name.startswith(".") or start.startswith("."))


def _in_body(session: Session, above: Sequence[str], typed: str) -> Answer:
    """What can stand in a Dockerfile. above: its lines up to the cursor's; typed: the cursor's line, up to the cursor."""
    if keyword := _KEYWORD.fullmatch(typed):
        return _keywords(above, keyword["keyword"])
    place = _Place(session, "dockerfile", True, above)
    if match := _FROM.fullmatch(typed):
        _, images = _images(place, None, match["image"])
        return _choices(match["image"], [*_stage_names(above), *images], "image")
    if match := _FROM_STAGE.fullmatch(typed):
        return _choices(match["stage"], _stage_names(above), "stage")
    return Answer("")


def _keywords(above: Sequence[str], typed: str) -> Answer:
    """The instructions, in the case in which they are typed; nothing in a continuation or a heredoc."""
    try:
        nodes = parse("\n".join([*above, _CURSOR])).nodes
    except DockerfileError:
        return Answer("")  # a heredoc without its end
    if not nodes or nodes[-1].keyword != _CURSOR:
        return Answer("")
    is_lower = typed != "" and typed == typed.lower()
    return _choices(typed, [name.lower() if is_lower else name for name, _ in INSTRUCTIONS], "keyword")


def _stage_names(lines: Sequence[str]) -> list[str]:
    try:
        return [stage.name for stage in stages(parse("\n".join(lines))) if stage.name]
    except DockerfileError:
        return []  # nothing there yet, or a heredoc is being written


def _choices(word: str, names: Iterable[str], kind: str) -> Answer:
    """Those of the names that begin with `word`. A name with spaces would need quotes: it is left out."""
    return Answer(word, tuple((name, kind) for name in names if name.startswith(word) and not re.search(r"\s", name)))
