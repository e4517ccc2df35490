"""`--chown` and `--chmod` of COPY and ADD: what files get, in place of what they have. Pure, but for /etc/passwd and /etc/group of a root.

owner("app:www-data", view) → (1000, 33)
mode("u+x,go-w")            → a function of a file's mode
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.errors import EngineError, UsageError

# Gives the mode of a file that had another; whether it is a directory.
Change = Callable[[int, bool], int]

_LONGEST_TABLE: Final = 16 << 20
_MOST: Final = (1 << 31) - 1
_OCTAL: Final = re.compile(r"[0-7]+")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION: Final = re.compile(r"([-+=])([rwxXst]+|[ugo]|)")
_SHIFT: Final = {"u": 6, "g": 3, "o": 0}
_BITS: Final = {"r": 4, "w": 2, "x": 1}


def owner(text: str, view: View) -> tuple[int, int]:
    """Numbers as they are, names as the root `view` knows them. Without a group it is the user's; of a number the same number.

    Raises EngineError for a name that is not known.
    """
    user, _, group = text.partition(":")
    uid, gid = 0, 0
    if user.isdecimal():
        uid = gid = _number(user, text)
    elif user:
        fields = _named(view, "etc/passwd", user, 4)
        if fields is None:
            raise _unknown("user", user, "passwd")
        uid, gid = _number(fields[2], text), _number(fields[3], text)
    if group.isdecimal():
        gid = _number(group, text)
    elif group:
        fields = _named(view, "etc/group", group, 3)
        if fields is None:
            raise _unknown("group", group, "group")
        gid = _number(fields[2], text)
    return uid, gid


def octal(text: str) -> int | None:
    """The number that --chmod is, or None where it is none. Raises UsageError for one that is no mode."""
    if not text[:1].isdigit():
        return None
    if not _OCTAL.fullmatch(text) or int(text, 8) > 0o7777:
        raise UsageError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    return int(text, 8)


def mode(text: str) -> Change:
    """Of an octal number, or of clauses as chmod(1) has them; umask does not count. Raises UsageError."""
    number = octal(text)
    if number is not None:
        return lambda _mode, _is_directory: number
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    if not all(clauses):
        hint = "An octal number, as 755, or clauses, as u+x,go-w."
        raise UsageError(f"invalid chmod parameter: '{text}': invalid syntax", hint=hint)
    actions = [(clause[1], action[1], action[2]) for clause in clauses if clause for action in _ACTION.finditer(clause[2])]

    def change(value: int, is_directory: bool) -> int:
        for who, sign, what in actions:
            value = _changed(value, is_directory, who, sign, what)
        return value

    return change


def _changed(value: int, is_directory: bool, who: str, sign: str, what: str) -> int:
    everybody = not who or "a" in who
    classes = "ugo" if everybody else who
    if what in ("u", "g", "o"):
        bits = value >> _SHIFT[what] & 7
    else:
        bits = sum(_BITS[letter] for letter in set(what) & _BITS.keys())
        if "X" in what and (is_directory or value & 0o111):
            bits |= 1
    given = mask = 0
    for each in set(classes):
        given |= bits << _SHIFT[each]
        mask |= 7 << _SHIFT[each]
    for each, special in (("u", 0o4000), ("g", 0o2000)):
        if each in classes:
            given |= special if "s" in what else 0
            mask |= special
    if everybody or "o" in who:
        given |= 0o1000 if "t" in what else 0
        mask |= 0o1000
    if sign == "+":
        return value | given
    return value & ~given if sign == "-" else value & ~mask | given


def _number(text: str, whole: str) -> int:
    if not text.isdecimal() or int(text) > _MOST:
        raise EngineError(f"--chown={whole}: uids and gids must be in range 0-{_MOST}", status=400)
    return int(text)


def _unknown(kind: str, name: str, table: str) -> EngineError:
    text = f"unable to find {kind} {name}: no matching entries in {table} file"
    return EngineError(text, hint=f"The image has no such {kind}: RUN {kind}add makes one, or give its number.", status=400)


def _named(view: View, path: str, name: str, least: int) -> list[str] | None:
    return next((fields for fields in _table(view, path) if fields[0] == name and len(fields) >= least), None)


def _table(view: View, path: str) -> Iterator[list[str]]:
    real = resolve(view, path)
    entry = view.lookup(real)
    if entry is None or entry.kind != "file" or entry.size > _LONGEST_TABLE:
        return
    with view.open(real) as file:
        for line in file.read(_LONGEST_TABLE).decode("utf-8", "surrogateescape").split("\n"):
            yield line.strip().split(":")
