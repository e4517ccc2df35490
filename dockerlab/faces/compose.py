"""The faces of a Compose project: its services as a graph, as a table and as text; and of what Compose says while it works.

Text holds what is the same on every run: names. States and ports stand between volatile marks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dockerlab.faces import dot as dots
from dockerlab.faces import markup

if TYPE_CHECKING:
    from dockerlab.compose.model import Config, Downed, Progress, Project, Row, Service

_COLOURS: Final = {"done": "#00735c", "running": "#b85c00", "failed": "#b3261e", "stopped": "#5b6069", "waiting": "#6b7078"}


# A project


def text(project: Project) -> str:
    names = ", ".join(one.name for one in project.services) or "no services"
    return f"project {project.name}: {names}"


def table(project: Project) -> str:
    rows = [(f"{_mark(one)} {one.name}", one.state, _image(one), _needs(one), ", ".join(one.ports)) for one in project.services]
    return "\n".join([f"project {project.name}", markup.columns(rows)]).rstrip()


def html(project: Project, picture: str | None) -> str:
    rows = [
        (
            markup.state(_kind(one), one.state),
            f"<b>{markup.text(one.name)}</b>",
            markup.text(_image(one)),
            markup.text(_needs(one)),
            markup.text(", ".join(one.ports)),
        )
        for one in project.services
    ]
    listed = markup.table(("state", "service", "image", "after", "ports"), rows) if rows else ""
    drawn = dots.STYLE + dots.picture(picture, table(project).splitlines()[1:], "print(project)") if rows else ""
    return markup.page(markup.head(f"project {markup.text(project.name)}", _count(len(rows))), markup.volatile(drawn + listed))


def dot(project: Project) -> str:
    """A box for each service; an arrow from each that another waits for, with what is waited for."""
    names = {one.name: f"n{number}" for number, one in enumerate(project.services)}
    lines = dots.head("compose", "LR")
    for one in project.services:
        kind = _kind(one)
        shown = [
            dots.label(one.name),
            dots.label(_image(one)),
            f"{_mark(one)} {dots.label(one.state)}",
            *map(dots.label, one.ports[:2]),
        ]
        lines.append(f"  {dots.node(names[one.name], shown, kind, _COLOURS[kind], dots.line(one.name))}")
    for one in project.services:
        for needed, what in one.needs:
            if needed in names:
                lines.append(f'  {names[needed]} -> {names[one.name]} [label="{dots.beside([what])}"];')
    return "\n".join([*lines, "}", ""])


def _kind(service: Service) -> str:
    """Of all its containers the one that is worst off."""
    if not service.containers:
        return "waiting"
    if any(one.code or one.health == "unhealthy" or one.state == "dead" for one in service.containers):
        return "failed"
    if any(one.state == "restarting" or one.health == "starting" for one in service.containers):
        return "running"
    return "done" if any(one.state == "running" for one in service.containers) else "stopped"


def _mark(service: Service) -> str:
    return markup.STATES[_kind(service)][0]


def _image(service: Service) -> str:
    return service.image or ("built" if service.is_built else "")


def _needs(service: Service) -> str:
    return ", ".join(name if what == "started" else f"{name} ({what})" for name, what in service.needs)


def _count(services: int) -> str:
    return f"{services} service{'' if services == 1 else 's'}"


# While Compose works


def progress_text(progress: Progress) -> str:
    return f"{progress.doing} {progress.name}"


def progress_table(progress: Progress) -> str:
    rows = [(markup.STATES[_row_kind(row)][0], name, row.word) for name, row in progress.rows.items()]
    return "\n".join([progress_text(progress), markup.columns(rows)]).rstrip()


def progress_html(progress: Progress) -> str:
    state = markup.state("done" if progress.is_done else "running", progress.doing)
    rows = [(markup.state(_row_kind(row), row.word), markup.text(name)) for name, row in progress.rows.items()]
    listed = markup.table(("state", "what"), rows, wrap=(0,)) if rows else ""
    return markup.page(markup.head(f"{markup.text(progress.name)} {state}"), markup.volatile(listed))


def _row_kind(row: Row) -> str:
    if row.is_failed:
        return "failed"
    return "running" if row.word.endswith("ing") else "done"


# The other verbs


def downed_text(downed: Downed) -> str:
    return "\n".join(f"removed {one[:1].lower()}{one[1:]}" for one in downed.removed) or "there was nothing to remove"


def downed_html(downed: Downed) -> str:
    return markup.page(markup.head(markup.text(downed_text(downed)).replace("\n", "<br>")))


def config_html(config: Config) -> str:
    return markup.page(f"<pre>{markup.text(config.yaml)}</pre>")
