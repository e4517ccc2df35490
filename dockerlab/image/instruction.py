"""A history's `created_by` → the instruction, as a Dockerfile has it, in one form for every builder.

    classic    /bin/sh -c #(nop)  CMD ["flask" "run"]     → CMD ["flask", "run"]
               /bin/sh -c pip install flask               → RUN pip install flask
               |1 WHO=you /bin/sh -c echo $WHO            → RUN echo $WHO
               /bin/sh -c #(nop) COPY dir:6b21… in /app/  → COPY … /app/      (what was copied is a digest there)
    BuildKit   RUN /bin/sh -c pip install flask # buildkit, EXPOSE map[5000/tcp:{}], COPY . . # buildkit
    buildah    as classic, with commas in lists

What is none of these (an image imported, or made by another tool) stays as it is. Seen on Docker Engine 20.10 and 28, with both
builders, and on Podman 4.3.
"""

from __future__ import annotations

import json
import re

# SHELL may have added flags to the shell, but it holds no `#`.
_NOP = re.compile(r"[^\s#]+(?: [^\s#]+)* #\(nop\)\s+")
_BUILDKIT = re.compile(r"\s+# buildkit$")
_SHELL = re.compile(r"(?:/\S*/)?(?:a|ba|da|k|z)?sh (?:-o pipefail |-\w+ )*?-\w*c ")
_ARGUMENTS = re.compile(r"\|(\d+) ")
_ARGUMENT = re.compile(r"\w+=\S*\s")
_COPIED = re.compile(r"(ADD|COPY)((?: --\S+?)*) ?(?:file|dir|multi):[0-9a-f]{64} in (.*)", re.DOTALL)
_LIST = re.compile(r"((?:ONBUILD )?(?:CMD|ENTRYPOINT|SHELL|VOLUME)) (\[.*\])", re.DOTALL)
_HEALTHCHECK = re.compile(r"HEALTHCHECK &\{(\[.*?\]) [\"0-9].*\}", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PORTS = re.compile(r"EXPOSE (?:map)?\[(.*)\]")


def clean(created_by: str) -> str:
    """The instruction on one line; '' where the history says nothing.

    Lost, because a history has it in no form that can be read back: flags of RUN and COPY, times of HEALTHCHECK, quotes of ENV.
    """
    text = created_by.strip()
    text = text[match.end() :] if (match := _NOP.match(text)) else _run(text)
    return " ".join(_in_one_form(text).split())


def keyword(instruction: str) -> str:
    """`RUN` of `RUN make`; '' for what does not begin with a word in capitals."""
    word = instruction.partition(" ")[0]
    return word if word.isupper() and word.isalpha() else ""


def _run(text: str) -> str:
    """Without BuildKit's mark; a command with RUN before it, and without its build arguments and its shell."""
    text = _BUILDKIT.sub("", text)
    command = text.removeprefix("RUN ")
    is_run = command != text
    if match := _ARGUMENTS.match(command):
        is_run = True
        shell = _SHELL.search(command)
        # Values are not quoted: with a shell after them it is plain where they end; else they are taken for words.
        command = command[shell.start() :] if shell else _without_arguments(command[match.end() :], int(match[1]))
    if match := _SHELL.match(command):
        return f"RUN {command[match.end() :]}"
    return f"RUN {command}" if is_run or command.startswith("/") else text


def _without_arguments(command: str, count: int) -> str:
    for _ in range(count):
        match = _ARGUMENT.match(command)
        if not match:
            # Podman counts arguments that it does not list.
            break
        command = command[match.end() :]
    return command


def _in_one_form(text: str) -> str:
    if match := _COPIED.fullmatch(text):
        return f"{match[1]}{match[2]} … {match[3]}"
    if match := _LIST.fullmatch(text):
        name, items = match[1], _items(match[2])
        if name.endswith("VOLUME"):
            return f"{name} {' '.join(items)}"
        if items[:2] == ["/bin/sh", "-c"] and len(items) == 3:
            # How the builders keep `CMD flask run`.
            return f"{name} {items[2]}"
        return f"{name} {json.dumps(items, ensure_ascii=False)}"
    if match := _HEALTHCHECK.fullmatch(text):
        kind, *test = _items(match[1])
        if kind == "CMD":
            return f"HEALTHCHECK CMD {json.dumps(test, ensure_ascii=False)}"
        return f"HEALTHCHECK CMD {' '.join(test)}" if kind == "CMD-SHELL" else f"HEALTHCHECK {kind}"
    if match := _PORTS.fullmatch(text):
        ports = [port.removesuffix(":{}").removesuffix("/tcp") for port in match[1].split()]
        return f"EXPOSE {' '.join(ports)}"
    return text


def _items(listed: str) -> list[str]:
    """The strings of a list as Go prints it, with quotes or without, or as JSON. At least one, maybe empty."""
    strings = _STRING.findall(listed)
    if not strings:
        return listed[1:-1].split() or [""]
    return [_unquoted(string) for string in strings]


def _unquoted(string: str) -> str:
    try:
        return str(json.loads(string))
    except json.JSONDecodeError:
        # Go escapes a few characters that JSON has no letter for, as `\\x1b`: they stay as they are.
        return string[1:-1]
