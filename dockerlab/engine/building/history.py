"""What an image's history says of a step: `created_by` as Docker's classic builder writes it, by which `--cache-from` knows steps again.

/bin/sh -c #(nop)  ENV A=b
/bin/sh -c #(nop)  CMD ["python" "app.py"]
/bin/sh -c #(nop) COPY file:3787… in /app
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dockerlab.dockerfile.commands import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from dockerlab.dockerfile.words import quoted


def comment(shell: Sequence[str], text: str, gap: str = " ") -> str:
    """A step that runs nothing. gap: Docker puts a second blank before most of them."""
    return f"{' '.join(shell)} #(nop) {gap}{text}"


def told(command: Command, config: Mapping[str, Any]) -> str:
    """The text of an instruction that changes the configuration. config: after it."""
    text = _TEXTS.get(type(command))
    return text(command, config) if text else " ".join(command.node.text.split())


def _pairs(keyword: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda command, config: f"{keyword} {' '.join(f'{name}={value}' for name, value in command.pairs)}"


def _list(words: Sequence[str] | None) -> str:
    return f"[{' '.join(map(quoted, words or ()))}]"


_TEXTS: Mapping[type[Command], Callable[[Any, Mapping[str, Any]], str]] = {
    Env: _pairs("ENV"),
    Label: _pairs("LABEL"),
    Cmd: lambda command, config: f"CMD {_list(config.get('Cmd'))}",
    Entrypoint: lambda command, config: f"ENTRYPOINT {_list(config.get('Entrypoint'))}",
    User: lambda command, config: f"USER {command.user}",
    Volume: lambda command, config: f"VOLUME [{' '.join(command.paths)}]",
    Expose: lambda command, config: f"EXPOSE {' '.join(command.ports)}",
    Shell: lambda command, config: f"SHELL [{' '.join(command.words)}]",
    StopSignal: lambda command, config: f"STOPSIGNAL {command.signal}",
    Onbuild: lambda command, config: f"ONBUILD {command.trigger}",
    Maintainer: lambda command, config: f"MAINTAINER {command.name}",
    Healthcheck: lambda command, config: f"HEALTHCHECK {' '.join(command.test)}",
}
