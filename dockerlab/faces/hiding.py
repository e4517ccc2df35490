"""What is likely a secret, and shown as `***`. Pure.

By name: a variable, a flag or a header that is called PASSWORD, TOKEN, SECRET, KEY, CREDENTIAL or the like. By value: the password in a
URL, in a connection string and in an Authorization header, private keys, tokens of well-known services. By program: what `curl -u`,
`mysql -p`, `sshpass -p`, `redis-cli -a` and `docker login -p` are given; `-p` and `-u` of all others are ports and users. It is a guess,
for what is shown on a page that others may see; whoever may ask the engine still reads it all: `%container inspect`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
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
_PUBLIC: Final = re.compile(r"\b(?:recv|receive|fetch|search|list|refresh|authorized|trusted|public) keys?\b")
_URL: Final = re.compile(r"(?P<start>\b[a-z][a-z0-9+.\-]{0,30}://)(?P<user>[^\s:/@?#]*)(?P<password>:[^\s/]*)?@", re.IGNORECASE)
_PAIR: Final = re.compile(r"""(?<![\w.\-])(?P<start>(?P<name>[\w.\-]++)\s*+=\s*+)(?P<value>"[^"]*"|'[^']*'|[^\s;&,'"]+)""")
_COMMON: Final = frozenset({"pass", "key", "keys", "auth", "cookie", "salt", "signature", "pat"})  # too common in a text
_HEADER: Final = re.compile(
    r"""(?P<start>\b(?:(?:proxy-)?authorization|(?:x-)?api-?key|(?:private|job|deploy)-token|x-[\w-]{0,40}(?:token|secret)):\s*+)
    (?:(?:basic|bearer|token|digest|apikey|negotiate)\s+)?(?P<value>[^\s'"]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_KNOWN: Final = re.compile(
    r"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*
    |\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|sk-[\w-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}
    |eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}|dckr_pat_[\w-]{10,})""",
    re.DOTALL | re.VERBOSE,
)
_FLAG: Final = re.compile(r"--?(?P<name>[A-Za-z][\w-]*)")
_VALUE: Final = r"""(?P<value>"[^"]*"|'[^']*'|[^\s"']+)"""
_SPOKEN_FLAG: Final = re.compile(rf"(?P<start>(?:^|(?<=\s))--?(?P<name>[A-Za-z][\w-]*)(?:=|\s+))(?!-){_VALUE}")
_BEFORE: Final = r"(?<![\w.:-])"
_REST: Final = r"""(?![\w.:-])(?:"[^"]*"|'[^']*'|[^|;&\n"'])*+"""  # of a command
# Flags of curl that take `user:password`, also after others that take nothing.
_USER: Final = r"""["']?(?:-[#0-9afgijklnpqsvBGILMNORSZ]*[uU]\s*|--(?:proxy-)?user(?:=|\s+))"""
# A program up to the end of its command, and its flags that take a password.
_PROGRAMS: Final = tuple(
    (re.compile(_BEFORE + program), re.compile(rf"(?<=\s)(?P<start>{flag}){value}"))
    for program, flag, value in (
        (f"curl{_REST}", f"{_USER}(?P<quote>[\"'])?", r"""(?P<user>[^\s:"']*):(?P<value>(?(quote)[^"']|[^\s"'])*)"""),
        (
            f"(?:mysql|mariadb)(?:-?(?:dump|admin|import|show|check))?{_REST}",
            r"""(?P<quote>["'])?-p(?!\d+:)""",
            r"""(?P<value>"[^"]*"|'[^']*'|(?(quote)[^"']|[^\s"'])+)""",
        ),
        (r"sshpass\s+-p\s*\S+", r"-p\s*", _VALUE),
        (f"redis-cli{_REST}", r"-a\s*", _VALUE),
        (rf"(?:docker|podman|nerdctl|buildah|skopeo)\s+login{_REST}", r"-p\s*", _VALUE),
    )
)
_REFERENCE: Final = re.compile(r"""["']?(?:\$[\w{(]|`)""")  # to a variable, or to what a command prints
_SHORTEST: Final = 6  # characters of a secret that is looked for elsewhere


def is_secret(name: str) -> bool:
    """Whether what a variable or a flag of this name holds is likely a secret."""
    words = _JOINT.sub(" ", name).lower()
    return name.upper() not in _NO_SECRET and bool(_SECRET_NAME.search(words)) and not _PUBLIC.search(words)


def hide(name: str, value: str) -> str:
    """The value of a variable as it may be shown."""
    return HIDDEN if value and is_secret(name) else hide_in(value)


def hide_in(text: str, *, is_written: bool = False) -> str:
    """Any text, without what looks like a secret whatever it is called.

    is_written: of a command as it is written, not as it runs: a `$TOKEN` in it tells nothing, and stays.
    """

    def hidden(match: re.Match[str], shown: str = HIDDEN) -> str:
        return match[0] if is_written and _REFERENCE.match(match["value"]) else f"{match['start']}{shown}"

    text = _KNOWN.sub(HIDDEN, text)
    text = _URL.sub(lambda m: f"{m['start']}{m['user'] if m['password'] else HIDDEN}{f':{HIDDEN}' if m['password'] else ''}@", text)
    text = _HEADER.sub(hidden, text)
    text = _by_program(text, lambda m: hidden(m, _given(m)))
    return _PAIR.sub(lambda m: hidden(m) if _is_secret_in_text(m["name"]) else m[0], text)


def _by_program(text: str, hidden: Callable[[re.Match[str]], str]) -> str:
    for program, flag in _PROGRAMS:
        text = program.sub(lambda command, flag=flag: flag.sub(hidden, command[0]), text)  # type: ignore[misc]
    return text


def _given(flag: re.Match[str]) -> str:
    """What a program's flag is given, as it may be shown. Of `token:` the name is the secret."""
    user = flag.groupdict().get("user")
    return HIDDEN if user is None else f"{user}:{HIDDEN}" if flag["value"] else f"{HIDDEN}:"


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
    line = shlex.join(shown)
    hidden = _by_program(line, lambda m: f"{m['start']}{_given(m)}")
    return tuple(shown) if hidden == line else tuple(shlex.split(hidden))


def hide_in_command(line: str, secrets: Iterable[str] = (), *, is_written: bool = False) -> str:
    """A command that is one line already, as `ps` prints it. secrets: values that are known to be some. is_written: see `hide_in`."""
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        line = line.replace(secret, HIDDEN)
    line = _SPOKEN_FLAG.sub(lambda m: f"{m['start']}{HIDDEN}" if _is_hidden_flag(m, is_written) else m[0], line)
    return hide_in(line, is_written=is_written)


def hide_in_instruction(text: str) -> str:
    """An instruction of a Dockerfile, as it is written."""
    return hide_in_command(text, is_written=True)


def _is_hidden_flag(flag: re.Match[str], is_written: bool) -> bool:
    return is_secret(flag["name"]) and not (is_written and _REFERENCE.match(flag["value"]))
