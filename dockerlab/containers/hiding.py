"""What is likely a secret, and shown as `***`. Pure.

By name: a variable or a flag that is called PASSWORD, TOKEN, SECRET, KEY, CREDENTIAL or the like. By value: the password in a URL, in a
connection string and in an Authorization header, private keys, tokens of well-known services. It is a guess, for what is shown on a page
that others may see; whoever may ask the engine still reads it all: `%container inspect`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

HIDDEN: Final = "***"

# Long words count wherever they stand, short ones only by themselves: KEY, but not KEYBOARD or MONKEY.
_SECRET_NAME: Final = re.compile(
    r"""passw(?:or)?d|passphrase|passcode|token|secret|credential|apikey|privatekey|accesskey
    |\b(?:pass|pwd|pw|key|keys|auth|cookie|salt|signature|pat|dsn|jwt)\b""",
    re.VERBOSE,
)
_JOINT: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_.\-]+")  # of a name's words
_NO_SECRET: Final = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK"})  # folders and sockets
_URL: Final = re.compile(r"(?P<start>\b[a-z][a-z0-9+.\-]*://)(?P<user>[^\s:/@?#]*)(?P<password>:[^\s/@]*)?@", re.IGNORECASE)
_PAIR: Final = re.compile(r"""(?<![\w.\-])(?P<name>[\w.\-]++)(?P<equals>\s*+=\s*+)(?:"[^"]*"|'[^']*'|[^\s;&,'"]+)""")
_COMMON: Final = frozenset({"pass", "key", "keys", "auth", "cookie", "salt", "signature", "pat"})  # too common in a text
_HEADER: Final = re.compile(r"(?P<name>\bauthorization:\s*+)(?:(?:basic|bearer|token)\s+)?[^\s'\"]+", re.IGNORECASE)
_KNOWN: Final = re.compile(
    r"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*
    |\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|sk-[\w-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}
    |eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}|dckr_pat_[\w-]{10,})""",
    re.DOTALL | re.VERBOSE,
)
_FLAG: Final = re.compile(r"--?(?P<name>[A-Za-z][\w-]*)")
_SPOKEN_FLAG: Final = re.compile(r"(?P<flag>(?:^|(?<=\s))--?(?P<name>[A-Za-z][\w-]*)(?:=|\s+))(?P<value>(?!-)\S+)")
_SHORTEST: Final = 6  # characters of a secret that is looked for elsewhere


def is_secret(name: str) -> bool:
    """Whether what a variable or a flag of this name holds is likely a secret."""
    return name.upper() not in _NO_SECRET and bool(_SECRET_NAME.search(_JOINT.sub(" ", name).lower()))


def hide(name: str, value: str) -> str:
    """The value of a variable as it may be shown."""
    return HIDDEN if value and is_secret(name) else hide_in(value)


def hide_in(text: str) -> str:
    """Any text, without what looks like a secret whatever it is called."""
    text = _KNOWN.sub(HIDDEN, text)
    text = _URL.sub(lambda m: f"{m['start']}{m['user'] if m['password'] else HIDDEN}{f':{HIDDEN}' if m['password'] else ''}@", text)
    text = _HEADER.sub(lambda m: f"{m['name']}{HIDDEN}", text)
    return _PAIR.sub(lambda m: f"{m['name']}{m['equals']}{HIDDEN}" if _is_secret_in_text(m["name"]) else m[0], text)


def _is_secret_in_text(name: str) -> bool:
    """As `is_secret`, of what may be no variable: `pass=3` and `key=2` are not meant, `Pwd=` of a connection string is."""
    return name in ("pwd", "Pwd") or (name not in _COMMON and is_secret(name))


def hide_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """A command's arguments: `--password=x`, `--token x`, `TOKEN=x` and what `hide_in` finds."""
    shown: list[str] = []
    awaited = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        flag = _FLAG.fullmatch(name)
        called = flag["name"] if flag else name
        if awaited and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif equals and re.fullmatch(r"[\w.-]+", called) and is_secret(called):
            shown.append(f"{name}={HIDDEN}" if value else argument)
        else:
            shown.append(hide_in(argument))
        awaited = bool(flag) and not equals and is_secret(called)
    return tuple(shown)


def hide_in_command(line: str, secrets: Iterable[str] = ()) -> str:
    """A command that is one line already, as `ps` prints it. secrets: values that are known to be some."""
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        line = line.replace(secret, HIDDEN)
    line = _SPOKEN_FLAG.sub(lambda m: f"{m['flag']}{HIDDEN}" if is_secret(m["name"]) else m[0], line)
    return hide_in(line)
