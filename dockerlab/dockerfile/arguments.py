"""How an instruction's argument text is cut: BuildKit's parser/line_parsers.go, and instructions/bflag.go for flags.

json_list('["a", "b"]')           ("a", "b"); None for what is no JSON array
words("a  b")                     ("a", "b"), at spaces only: COPY, EXPOSE, FROM, VOLUME
quoted_words("a='b c' d")         ("a='b c'", "d"), quotes and escapes as written: ARG, ENV, LABEL
pairs("ENV", "a=b c=d")           (("a", "b"), ("c", "d")), or the old form `a b c`: (("a", "b c"),)
flags(node.flags, texts=("from",), switches=("link",), lists=("exclude",))
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from dockerlab.dockerfile.refusal import Refused, did_you_mean
from dockerlab.dockerfile.words import SPACE, quoted

SPACES = re.compile(r"[\t\v\f\r ]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_list(text: str) -> tuple[str, ...] | None:
    """The texts of a JSON array. Raises Refused for an array of something else."""
    text = text.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        # Numbers are no texts, whatever their size.
        value = json.loads(text, parse_int=bool, parse_float=bool, parse_constant=_refuse)
    except ValueError:
        return None
    except RecursionError:
        value = [None]
    if not all(isinstance(item, str) for item in value):
        raise Refused("when using JSON array syntax, arrays must be comprised of strings only", at="[")
    return tuple(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", item) for item in value)


def _refuse(name: str) -> None:
    raise ValueError(name)


def words(text: str) -> tuple[str, ...]:
    """Cut at spaces."""
    return tuple(SPACES.split(text)) if text else ()


def first_word(text: str) -> tuple[str, str]:
    """The first word of a text that does not begin with a space, and the rest."""
    first, *rest = SPACES.split(text, maxsplit=1)
    return first, rest[0] if rest else ""


def list_or_words(text: str) -> tuple[str, ...]:
    """A JSON list, or else words."""
    found = json_list(text)
    return words(text) if found is None else found


def quoted_words(text: str, escape: str) -> tuple[str, ...]:
    """Cut at spaces that are not quoted or escaped; a quote without its end goes to the end."""
    found, word = list[str](), list[str]()
    for token in _token(escape).finditer(text):
        if token["space"]:
            if word:
                found.append("".join(word))
                word.clear()
        elif not token["lone"]:
            word.append(token["double"] or token[0])
    return (*found, "".join(word)) if word else tuple(found)


@cache
def _token(escape: str) -> re.Pattern[str]:
    """A piece of a word, or a space; an escape character at the very end is nothing (`lone`), also in double quotes."""
    e = re.escape(escape)
    return re.compile(
        rf"(?P<space>[{SPACE}])|'[^']*'?|(?P<double>\"(?:{e}.|[^\"{e}])*\"?)(?:{e}\Z)?|{e}.|(?P<lone>{e}\Z)|[^{SPACE}'\"{e}]+",
        re.DOTALL,
    )


def pairs(keyword: str, text: str, escape: str) -> tuple[tuple[str, str], ...]:
    """Names and values of ENV and LABEL, as written. Which form it is, the first word tells."""
    found = quoted_words(text, escape)
    if not found:
        raise Refused(f"{keyword} requires at least one argument")
    if "=" not in found[0]:
        name, *value = SPACES.split(text, maxsplit=1)
        if not value:
            raise Refused(f"{keyword} must have two arguments", at=name, hint=f"Write {keyword} {name}=value.")
        return ((name, value[0]),)
    for word in found:
        if "=" not in word:
            raise Refused(
                f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value",
                at=word,
                hint='Put a value with spaces in quotes: name="a b".',
            )
    if any(word.startswith("=") for word in found):
        raise Refused(f"{keyword} names can not be blank", at="=")
    return tuple(word.partition("=")[::2] for word in found)


def optional_pairs(text: str, escape: str) -> tuple[tuple[str, str | None], ...]:
    """Names of ARG, each with its value or None."""
    found = quoted_words(text, escape)
    if not found:
        raise Refused("ARG requires at least one argument")
    if any(word.startswith("=") for word in found):
        raise Refused("ARG names can not be blank", at="=")
    cut = [word.partition("=") for word in found]
    return tuple((name, value if mark else None) for name, mark, value in cut)


@dataclass(frozen=True, slots=True)
class Flags:
    """values: name → what was given, "" for a switch without a value."""

    values: Mapping[str, Sequence[str]]

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return self.values[name][0] if name in self.values else default

    def switch(self, name: str) -> bool | None:
        """Whether a switch is on, None if it is not given."""
        return self.values[name][0].lower() != "false" if name in self.values else None

    def all(self, name: str) -> tuple[str, ...]:
        """The values of a flag that may be repeated."""
        return tuple(self.values.get(name, ()))


def flags(given: Sequence[str], texts: Sequence[str] = (), switches: Sequence[str] = (), lists: Sequence[str] = ()) -> Flags:
    """The flags of an instruction, by name. Raises Refused for one that it does not have, and for a value that makes no sense."""
    found: dict[str, list[str]] = {}
    for flag in given:
        name, mark, value = flag.removeprefix("--").partition("=")
        at = f"--{name}"
        if name not in (*texts, *switches, *lists):
            raise Refused(f"unknown flag: {at}", at=at, hint=did_you_mean(name, (*texts, *switches, *lists), "--"))
        if name in found and name not in lists:
            raise Refused(f"duplicate flag specified: {at}", at=at)
        if not mark if name not in switches else mark and not value:
            raise Refused(f"missing a value on flag: {at}", at=at, hint=f"Write {at}=…")
        if name in switches and value.lower() not in ("", "true", "false"):
            raise Refused(f"expecting boolean value for flag {at}, not: {value}", at=flag)
        found.setdefault(name, []).append(value)
    return Flags(found)
