"""The flags of the magics: argparse's definitions, read as the `docker` command reads a line.

    parser = Parser("%container run", "Start a container from an image.")
    parser.add_argument("-d", "--detach", action="store_true", help="…")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    parser.parse_args(["-d", "busybox", "sh", "-c", "exit 3"])

Rules, those of docker's own parser:

- `--flag VALUE`, `--flag=VALUE`, `-f VALUE`, `-fVALUE`, `-f=VALUE`; short flags combine (`-it`); no abbreviations of long ones
- a flag that takes a value takes the next word, whatever it looks like; one whose value is optional (`nargs="?"`) takes only what
  follows an `=`
- flags and arguments may be mixed, except that all that follows the arguments before a REMAINDER belongs to the REMAINDER
- `--` ends the flags
- an error is a UsageError of one line that names the nearest match; `--help` prints the help and raises HelpShown

A magic with verbs has a parser for each and lets `parse_verb` choose. What <TAB> offers is read from the same parsers: the flags,
and by the metavar of an argument (IMAGE, CONTAINER, CONTEXT, FILE, DIR) the names that can stand there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn

from dockerlab.errors import UsageError
from dockerlab.faces.markup import columns


class HelpShown(Exception):
    """The help was printed; there is nothing more to do. Private to the magics, which then return None."""


class Parser(argparse.ArgumentParser):
    """The flags and arguments of one verb.

    prog: the magic and the verb, as typed: "%container run". description: one line. epilog: what the help ends with. containers:
    which ones a CONTAINER argument is about, for completion.
    """

    def __init__(
        self, prog: str, description: str, *, epilog: str = "", containers: Literal["all", "running", "stopped"] = "all"
    ) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False, exit_on_error=False)
        self.containers = containers

    @property
    def flags(self) -> dict[str, argparse.Action]:
        """Each spelling of each flag that the help lists."""
        return {flag: action for flag, action in self._option_string_actions.items() if action.help is not argparse.SUPPRESS}

    @property
    def arguments(self) -> list[argparse.Action]:
        """The arguments that are not flags, in their order."""
        return [action for action in self._actions if not action.option_strings]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What `parse_args` calls. Nothing is left unknown: the second part of the result is empty."""
        flags, arguments, rest = self._sorted(args or [])
        # In this form argparse of every Python version reads the words alike.
        ready = [*flags, "--", *arguments] if arguments else flags
        try:
            namespace, _ = super().parse_known_args(ready, namespace)
        except argparse.ArgumentError as error:
            self.error(f"{error.argument_name}: {error.message}" if error.argument_name else error.message)
        if self._remainder:
            setattr(namespace, self._remainder.dest, rest)
        return namespace, []

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=None if "did you mean" in message else f"`{self.prog} --help` shows how.")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpShown

    def format_usage(self) -> str:
        flags = ["[FLAGS]"] if len(self.flags) > 2 else []
        return " ".join([self.prog, *flags, *(_shape(a) for a in self.arguments)])

    def format_help(self) -> str:
        rows = [(_spellings(action), _about(action)) for action in dict.fromkeys(self.flags.values())]
        arguments = [(f"  {_metavar(a)}", _about(a)) for a in self.arguments if a.help]
        parts = [self.format_usage(), self.description, columns([*arguments, *rows]), self.epilog]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def _remainder(self) -> argparse.Action | None:
        return next((a for a in self.arguments if a.nargs == argparse.REMAINDER), None)

    def _sorted(self, words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        """The words as flags (each with its value in one word), arguments, and what belongs to the REMAINDER."""
        before = self.arguments.index(self._remainder) if self._remainder else len(words)
        flags: list[str] = []
        arguments: list[str] = []
        waiting = list(words)
        while waiting and len(arguments) < before:
            word = waiting.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                flags.append(self._long(word, waiting))
            elif word.startswith("-") and word != "-":
                flags += self._short(word, waiting)
            else:
                arguments.append(word)
        taken = before - len(arguments)
        arguments, rest = [*arguments, *waiting[:taken]], waiting[taken:]
        self._check_count(arguments)
        return flags, arguments, rest

    def _long(self, word: str, waiting: list[str]) -> str:
        flag, equals, value = word.partition("=")
        action = self._action(flag, flag)
        if not equals and _takes_next(action):
            return self._joined(flag, waiting)
        if equals and action.nargs == 0:
            self.error(f"flag {flag} takes no value")
        return self._joined(flag, [value]) if equals else word

    def _short(self, word: str, waiting: list[str]) -> list[str]:
        flags = []
        for place, letter in enumerate(word[1:], start=2):
            flag, value = f"-{letter}", word[place:]
            action = self._action(flag, word)
            if action.nargs == 0:
                flags.append(flag)
                continue
            if value:
                flags.append(self._joined(flag, [value.removeprefix("=")]))
            else:
                flags.append(self._joined(flag, waiting) if _takes_next(action) else flag)
            break
        return flags

    def _action(self, flag: str, word: str) -> argparse.Action:
        action = self._option_string_actions.get(flag)
        if action is None:
            # `-rm` for --rm: one dash too few.
            near = f"-{word}" if f"-{word}" in self.flags else nearest(flag, self.flags)
            within = f" in {word}" if word != flag else ""
            self.error(f"unknown flag {flag}{within}" + (f": did you mean {near}?" if near else ""))
        if flag in ("-h", "--help"):
            self.print_help()
            raise HelpShown
        return action

    def _joined(self, flag: str, waiting: list[str]) -> str:
        # argparse before 3.13 drops a value that is `--`.
        if not waiting or waiting[0] == "--":
            self.error(f"flag {flag} needs a value")
        return f"{flag}={waiting.pop(0)}"

    def _check_count(self, arguments: Sequence[str]) -> None:
        needed = [a for a in self.arguments if a.nargs in (None, "+")]
        if len(arguments) < len(needed):
            self.error(f"{self.prog} needs {' and '.join(_metavar(a) for a in needed[len(arguments) :])}")
        if any(a.nargs in ("*", "+", argparse.REMAINDER) for a in self.arguments):
            return
        if len(arguments) > len(self.arguments):
            self.error(f"unexpected argument '{arguments[len(self.arguments)]}'")


def add_show_command(parser: Parser) -> None:
    """The flag that shows what the `docker` command would be."""
    parser.add_argument("--show-command", action="store_true", help="do nothing: show the docker command that does the same")


def parse_verb(magic: str, words: Sequence[str], parsers: Mapping[str, Parser]) -> tuple[str, argparse.Namespace]:
    """The verb that the words begin with, and its flags and arguments.

    magic: as typed, "%container". parsers: verb → parser; the key "" stands for a line without a verb. Without one, and for
    `--help`, prints what verbs there are. Raises HelpShown; UsageError for an unknown verb.
    """
    verb = words[0] if words else ""
    if verb in parsers:
        return verb, parsers[verb].parse_args(list(words[1:]))
    if verb in ("", "--help", "-h", "help"):
        print(overview(magic, parsers))
        raise HelpShown
    if verb.startswith("-") and "" in parsers:
        return "", parsers[""].parse_args(list(words))
    near = nearest(verb, parsers)
    message = f"unknown verb {verb}" + (f": did you mean {near}?" if near else "")
    raise UsageError(message, hint=None if near else f"There are: {', '.join(filter(None, parsers))}.")


def overview(magic: str, parsers: Mapping[str, Parser]) -> str:
    """The help of a magic with verbs: one line a verb."""
    rows = [(f"  {p.prog.removeprefix(magic).strip() or magic}", p.description or "") for p in parsers.values()]
    return "\n".join([f"{magic} VERB [FLAGS] …", "", columns(rows), "", f"`{magic} VERB --help` lists a verb's flags."])


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was probably meant to be."""
    from dockerlab.dockerfile import nearest as closest

    return closest(word, [choice for choice in choices if choice])


def takes_value(action: argparse.Action) -> bool:
    """Whether a flag has a value, needed or optional."""
    return action.nargs != 0


def _takes_next(action: argparse.Action) -> bool:
    return action.nargs is None


def _metavar(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper().replace("_", "-")


def _about(action: argparse.Action) -> str:
    # Not argparse's %-format: a text may name a magic.
    return (action.help or "").replace("%(default)s", str(action.default))


def _shape(action: argparse.Action) -> str:
    name = _metavar(action)
    shapes: dict[object, str] = {"+": f"{name} [{name} …]", "*": f"[{name} …]", "?": f"[{name}]", argparse.REMAINDER: f"[{name} …]"}
    return shapes.get(action.nargs, name)


def _spellings(action: argparse.Action) -> str:
    """`-p, --publish PORT`, `    --rm`, `    --wait[=PORT]`."""
    text = ", ".join(sorted(action.option_strings, key=len))
    if len(action.option_strings[0]) > 2 and not any(len(flag) == 2 for flag in action.option_strings):
        text = f"    {text}"
    if action.nargs == "?":
        text += f"[={_metavar(action)}]"
    elif takes_value(action):
        text += f" {_metavar(action)}"
    return f"  {text}"
