"""A history's `created_by` → the instruction, as a Dockerfile has it, in one form for every builder.

    classic    /bin/sh -c #(nop)  CMD ["flask" "run"]     → CMD ["flask", "run"]
               /bin/sh -c pip install flask               → RUN pip install flask
               |1 WHO=you /bin/sh -c echo $WHO            → RUN echo $WHO
               /bin/sh -c #(nop) COPY dir:6b21… in /app/  → COPY … /app/      (what was copied is a digest there)
    BuildKit   RUN /bin/sh -c pip install flask # buildkit, EXPOSE map[5000/tcp:{}], COPY . . # buildkit
    buildah    as classic, with commas in lists

What is none of these (an image imported, or made by another tool) stays as it is.
"""

from __future__ import annotations

import json
import re

_NOP = re.compile(r"^.*?#\(nop\)\s*", re.DOTALL)
_BUILDKIT = re.compile(r"\s+# buildkit$")
_ARGUMENTS = re.compile(r"^\|\d+ .*?(?=/bin/sh -c )", re.DOTALL)
_SHELL = "/bin/sh -c "
_COPIED = re.compile(r"^(ADD|COPY)((?: --\S+)*) (?:file|dir|multi):[0-9a-f]{64} in (.*)$", re.DOTALL)
_LIST = re.compile(r'^((?:ONBUILD )?(?:CMD|ENTRYPOINT|SHELL|VOLUME)) (\[.*\])$', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PORTS = re.compile(r"^EXPOSE (?:map)?\[(.*)\]$")


def clean(created_by: str) -> str:
    """The instruction on one line; '' where the history says nothing."""
    text = _BUILDKIT.sub("", created_by.strip())
    if _NOP.match(text):
        return _in_one_form(_NOP.sub("", text, count=1).strip())
    run = text.startswith("RUN ")
    command = _ARGUMENTS.sub("", text.removeprefix("RUN "))
    if command.startswith(_SHELL):
        text = f"RUN {command.removeprefix(_SHELL).strip()}"
    elif run:
        text = f"RUN {command}"
    return _in_one_form(text)


def keyword(instruction: str) -> str:
    """`RUN` of `RUN make`; '' for what does not begin with a word in capitals."""
    word = instruction.partition(" ")[0]
    return word if word.isupper() and word.isalpha() else ""


def _in_one_form(text: str) -> str:
    if match := _COPIED.match(text):
        text = f"{match[1]}{match[2]} … {match[3]}"
    elif match := _LIST.match(text):
        strings = _STRING.findall(match[2])
        # `VOLUME [/v]` has no quotes: Go prints a list of strings so.
        listed = f"[{', '.join(strings)}]" if strings or match[2] == "[]" else match[2][1:-1]
        text = f"{match[1]} {_plain_strings(listed)}" if match[1] == "VOLUME" else f"{match[1]} {listed}"
    elif match := _PORTS.match(text):
        ports = [port.removesuffix(":{}").removesuffix("/tcp") for port in match[1].split()]
        text = f"EXPOSE {' '.join(ports)}"
    return " ".join(text.split())


def _plain_strings(listed: str) -> str:
    """`["/v", "/w"]` → `/v /w`: one form for both ways to write a VOLUME."""
    try:
        names = json.loads(listed)
    except json.JSONDecodeError:
        return listed
    return " ".join(str(name) for name in names)
