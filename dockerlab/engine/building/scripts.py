"""What RUN, CMD and ENTRYPOINT run, as an argument vector. Pure. Heredocs of RUN are read as BuildKit reads them:

RUN <<EOF             the content is the command, in the stage's shell
RUN <<EOF             the content begins with #!: it is a file that is run
RUN python <<EOF      the shell is given all of it, and reads the heredoc itself; so it is with RUN <<EOF python
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.dockerfile import heredoc
from dockerlab.dockerfile.commands import Line

# Where a command sees the file that a heredoc is.
FOLDER = "/dev/pipes"
_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """file: the content of an executable file that the command needs, at argv[0]; "" for none."""

    argv: tuple[str, ...]
    file: str = ""


def script(line: Line, shell: Sequence[str]) -> Script:
    """shell: what reads the shell form."""
    if not line.is_shell:
        return Script(line.words)
    text = line.words[0] if line.words else ""
    if not line.heredocs:
        return Script((*shell, text))
    first = line.heredocs[0]
    if len(line.heredocs) == 1 and heredoc.opening(text.strip()):
        content = _TABS.sub("", first.content) if first.chomp else first.content
        if first.content.startswith("#!"):
            return Script((f"{FOLDER}/{first.name}",), content)
        return Script((*shell, content))
    return Script((*shell, text + "".join(f"\n{one.content}{one.name}" for one in line.heredocs)))
