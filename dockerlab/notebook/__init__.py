"""What a notebook sees: magics that parse a line, call one public function and return an object that displays itself.

- `session`: what one kernel's magics share: the client, the notebook's build context, whether displays are live
- `arguments`, `expand`, `completion`: a magic's line: its flags, its `{name}`s, its <TAB>
- `live`: a display that changes while work goes on and is static afterwards
- `*_magic`: one file a magic, each with `magic(session, line, cell)`

`load` registers stubs only: a magic's file, docker-py and the engine wait for the magic's first use.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from dockerlab.notebook.session import Session

# name → (line, cell or both; what `%name?` shows)
MAGICS = {
    "dockerfile": (
        "line_cell",
        "%%dockerfile builds an image from the cell; %dockerfile -f FILE [DIR] from a file. --help lists the flags.",
    ),
    "context": (
        "line_cell",
        "%%context PATH puts the cell into the notebook's build context; %context ls|show|rm|clear|add manages it.",
    ),
    "container": (
        "line_cell",
        "%container run|ps|logs|exec|stop|… as the docker command has them; %%container run|exec feeds the cell to it.",
    ),
    "image": ("line", "%image ls|show|pull|push|tag|rm|history|graph|explore|save|load|copy|… --help lists the flags."),
    "network": ("line", "%network create|ls|inspect|rm: networks, in which containers call one another by name."),
    "volume": ("line", "%volume create|ls|inspect|rm: volumes, which keep files beyond their containers."),
    "compose": (
        "line_cell",
        "%%compose up|ps|logs|config|down: the cell is a Compose file, which Docker Compose runs. --help lists the flags.",
    ),
    "swarm": (
        "line",
        "%swarm init|join|leave|nodes|drain|activate|promote|demote|secret|config: engines that are one. --help lists the flags.",
    ),
    "service": (
        "line",
        "%service create|ls|ps|show|logs|inspect|scale|update|rollback|rm: containers that a Swarm keeps running.",
    ),
    "pipeline": (
        "line",
        "%pipeline IMAGE shows one picture: the Dockerfile's lines, the steps of its build, its layers, its containers.",
    ),
    "engine": (
        "line",
        "%engine shows which engine answers; use <url or docker context> switches; ls lists them; doctor and picture look here.",
    ),
    "exercise": (
        "line",
        "%exercise NAME shows what of an exercise is done; --hint gives a hint; %exercise lists the exercises.",
    ),
}


class Interrupted(KeyboardInterrupt):
    """An interrupt of a magic, which IPython shows in one line: where in our code it hit tells a reader nothing."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[1;31mKeyboardInterrupt\x1b[0m: \x1b[1m{self}\x1b[0m"]


# The session of each shell that has one: from the first magic on until the extension is unloaded.
_sessions: dict[InteractiveShell, Session] = {}


def load(shell: InteractiveShell) -> None:
    """Registers the magics, their completion and, in a terminal, the full tables. Twice does no harm."""

    def get_session() -> Session:
        if shell not in _sessions:
            from dockerlab.notebook.session import Session

            _sessions[shell] = Session(shell)
        return _sessions[shell]

    register: Any = shell.register_magic_function
    for name, (kind, about) in MAGICS.items():
        register(_stub(name, about, get_session), kind, name)
    _register_completion(shell, get_session)
    if not hasattr(shell, "kernel"):
        _show_full_tables(shell)


def unload(shell: InteractiveShell) -> None:
    """Takes back what `load` registered, and ends the session: its connections are closed, what it remembers is gone."""
    manager: Any = shell.magics_manager
    for name in MAGICS:
        for kind in ("line", "cell"):
            manager.magics[kind].pop(name, None)
    _drop_completion(shell)
    if session := _sessions.pop(shell, None):
        session.close()


def _stub(name: str, about: str, get_session: Callable[[], Session]) -> Callable[..., Any]:
    def stub(line: str, cell: str | None = None) -> Any:
        try:
            return import_module(f"dockerlab.notebook.{name}_magic").magic(get_session(), line, cell)
        except KeyboardInterrupt:
            raise Interrupted(f"%{name} was interrupted") from None

    stub.__name__, stub.__doc__ = name, about
    marked: Callable[..., Any] = no_var_expand(stub)
    return marked


def _register_completion(shell: InteractiveShell, get_session: Callable[[], Session]) -> None:
    from IPython.core.completer import context_matcher

    _drop_completion(shell)

    def dockerlab_matcher(context: Any) -> Any:
        # Cheap for every cell that is not ours: nothing is imported before a line starts with one of our magics.
        if not any(f"%{name}" in context.full_text for name in MAGICS):
            return {"completions": []}
        from dockerlab.notebook.completion import complete

        return complete(get_session(), context)

    marked: Any = context_matcher()
    shell.Completer.custom_matchers.append(marked(dockerlab_matcher))


def _drop_completion(shell: InteractiveShell) -> None:
    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "__name__", "") != "dockerlab_matcher"]


def _show_full_tables(shell: InteractiveShell) -> None:
    """In terminal IPython, which has no HTML, a value's text is its full table."""
    from dockerlab.faces.shown import Shown

    def print_table(value: object, printer: Any, _: bool) -> None:
        printer.text(str(value))

    display: Any = shell.display_formatter
    display.formatters["text/plain"].for_type(Shown, print_table)
