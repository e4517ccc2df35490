"""What an instruction says, as values: one class a keyword.

    Copy(node, sources=("requirements.txt",), target="/app/", from_="build", …)

Names and rules are those of BuildKit (frontend/dockerfile/instructions). `reading.read` makes them of nodes, and expands nothing: texts
stand as they were written, quotes included, until `expansion.expanded` replaces the variables where the reference allows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dockerlab.dockerfile.heredoc import Heredoc
from dockerlab.dockerfile.mounts import Mount
from dockerlab.dockerfile.parser import Node


@dataclass(frozen=True, slots=True)
class Command:
    """node: the instruction, with its lines."""

    node: Node


@dataclass(frozen=True, slots=True)
class From(Command):
    """base: as written. name: after AS, in lower case, or "". platform: of --platform, as written."""

    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Command):
    """pairs: each name with its default, or None where it has none."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(Command):
    """pairs: names with values, in order."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Label(Command):
    """pairs: names with values, in order."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Maintainer(Command):
    """name: the whole line."""

    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """A command to be run. words: of the exec form, or the one text of the shell form. is_shell: whether a shell reads it.

    heredocs: of RUN, in the shell form.
    """

    words: tuple[str, ...]
    is_shell: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Run(Command):
    """network: default, none or host. security: sandbox or insecure.

    mount_texts: of --mount, as written. mounts: what they say, which is a draft until the variables in them are expanded.
    """

    line: Line
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    mount_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd(Command):
    """line: no words take an inherited command away."""

    line: Line


@dataclass(frozen=True, slots=True)
class Entrypoint(Command):
    """line: no words take an inherited entrypoint away."""

    line: Line


@dataclass(frozen=True, slots=True)
class Transfer(Command):
    """What COPY and ADD have in common. sources, target: as written. inline: heredocs, which come after the sources, their contents
    without the tabs that `<<-` takes away.

    chown, chmod: as written, "" where not given. exclude: patterns.
    """

    sources: tuple[str, ...]
    target: str
    inline: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy(Transfer):
    """from_: a stage, its number, an image; "" for the build context. parents: keep the sources' folders."""

    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Add(Transfer):
    """checksum: "sha256:…" of a URL. keep_git_dir: of a repository. unpack: archives, None for what ADD does without --unpack."""

    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Workdir(Command):
    """path: as written."""

    path: str


@dataclass(frozen=True, slots=True)
class User(Command):
    """user: as written, "name:group"."""

    user: str


@dataclass(frozen=True, slots=True)
class Volume(Command):
    """paths: as written."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expose(Command):
    """ports: as written, sorted; a variable may hold several."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Command):
    """test: the API's list, ("NONE",), ("CMD", …) or ("CMD-SHELL", text). times: the API's names → nanoseconds, those that are given.

    retries: None where it is not given, or 0.
    """

    test: tuple[str, ...]
    times: dict[str, int] = field(default_factory=dict)
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class Onbuild(Command):
    """trigger: the instruction for those who build upon the image, as written."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Shell(Command):
    """words: of the shell."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal(Command):
    """signal: as written."""

    signal: str
