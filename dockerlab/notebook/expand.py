"""A magic's line as words: split as a shell does, with `{name}` expanded from the notebook's variables.

    words("run -p {port}:80 '{image}'", {"port": 8080, "image": "my app"})  →  ["run", "-p", "8080:80", "my app"]

A field is `{name}` with attributes, indexes, a conversion and a format, in the syntax of `str.format`: `{c.name}`, `{ports[0]}`,
`{d[key]}`, `{x!r}`, `{n:03d}`. The line is split first and expanded after: a value never becomes several words, and what stands in
a value is not expanded again.

Everything else that has braces passes through as it stands: what follows a `$` (`${HOME}`), doubled braces (`{{.Names}}`), and what
is not a field (`{a,b}`, `{}`, `{0}`, JSON).
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

from dockerlab.errors import UndefinedName, UsageError
from dockerlab.notebook.arguments import nearest

_FIELD = re.compile(
    r"\{(?P<name>[^\W\d]\w*)"
    r"(?P<steps>(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)"
    r"(?:!(?P<conversion>[rsa]))?"
    r"(?::(?P<format>(?:[^{}]|\{[^{}]*\})*))?\}"
)
_STEP = re.compile(r"\.(?P<attribute>\w+)|\[(?P<index>[^\]]+)\]")
# What is left alone is matched first: `${…}`, a `$` that a brace may follow, `{{…}}`, and doubled braces without an end.
_TOKEN = re.compile(r"\$+(?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|\{)?|\{\{.*?\}\}+|\{\{|" + _FIELD.pattern, re.DOTALL)
_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}


def words(line: str, namespace: Mapping[str, Any]) -> list[str]:
    """The words of a magic's line.

    Raises UsageError for a quote without its end and for an attribute, an index or a format that fails; UndefinedName.
    """
    return [expand(word, namespace) for word in split(line)]


def split(line: str, platform: str = sys.platform) -> list[str]:
    """The line's words, with quotes as in a shell. On Windows a backslash is a part of a path, not an escape. Raises UsageError."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if platform == "win32":
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        if "escape" in str(error):
            raise UsageError("the line ends in a backslash that escapes nothing", hint="Write it twice, or in quotes.") from error
        raise UsageError(
            "a quote has no end", place=[line.strip()], hint="Close it, or put it in quotes of the other kind."
        ) from error


def expand(word: str, namespace: Mapping[str, Any]) -> str:
    """`word` with its fields replaced by their values. Raises as `words`."""
    return _TOKEN.sub(lambda match: _value(match, namespace) if match["name"] else match[0], word)


def _value(match: re.Match[str], namespace: Mapping[str, Any]) -> str:
    field, name = match[0], match["name"]
    if name not in namespace:
        near = nearest(name, [known for known in namespace if not known.startswith("_")])
        raise UndefinedName(
            f"'{name}' is not defined: did you mean '{near}'?" if near else f"'{name}' is not defined",
            place=[field],
            hint="{name} stands for a notebook variable. Braces with a space inside, { name }, are passed on as they stand.",
        )
    value, path = namespace[name], name
    for step in _STEP.finditer(match["steps"]):
        value, path = _step(value, path, step, field), path + step[0]
    if match["conversion"]:
        value = _CONVERSIONS[match["conversion"]](value)
    form = expand(match["format"] or "", namespace)
    try:
        return format(value, form)
    except (TypeError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be formatted with '{form}': {error}", place=[field]) from error


def _step(value: Any, path: str, step: re.Match[str], field: str) -> Any:
    """The attribute or the item of `value` that `step` names. path: how `value` was reached, for messages."""
    attribute, index = step["attribute"], step["index"]
    if attribute and attribute.startswith("_"):
        raise UsageError(f"'{attribute}' of '{path}' is private", place=[field], hint="Put the value into a variable first.")
    try:
        if attribute:
            return getattr(value, attribute)
        return value[int(index) if index.isdecimal() else index]
    except AttributeError as error:
        near = nearest(attribute, [known for known in dir(value) if not known.startswith("_")])
        suggestion = f": did you mean '{near}'?" if near else ""
        raise UsageError(f"'{path}' has no attribute '{attribute}'{suggestion}", place=[field]) from error
    except (LookupError, TypeError, ValueError) as error:
        quoted = index[0] in "'\"" or index.startswith("-")
        hint = "A key stands without quotes, {d[key]}; an index is 0 or more." if quoted else None
        raise UsageError(f"'{path}' has no item [{index}]", place=[field], hint=hint) from error
