"""The exercises of `notebooks/09-the-app-for-real.ipynb`.

The image noticeboard has an app that greets at port 5000 with what the environment variable GREETING says, by gunicorn, which starts
as many workers as WEB_CONCURRENCY says.
"""

from __future__ import annotations

from dockerlab import containers
from dockerlab.containers import Container
from dockerlab.course.common import why_none
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

IMAGE = "noticeboard"
NAME = "noticeboard-2"
PORT = 5000
WORKERS = 3


def _runs(look: Look) -> str | None:
    if look.image(IMAGE) is None:
        return f"there is no image {IMAGE}: run the cell above that builds it"
    return None if _second(look) is not None else why_none(look, NAME, IMAGE)


def _greets(look: Look) -> str | None:
    second = _second(look)
    if second is None:
        return f"{NAME} has ended"
    image = look.image(IMAGE)
    usual = "" if image is None else dict(_pairs(look.configuration(image).get("Env"))).get("GREETING", "")
    greeting = look.environment(second).get("GREETING", "").strip()
    if greeting in ("", usual):
        return f"it was told no other greeting than {quoted(usual)}"
    if not look.is_published(second, PORT):
        return f"it publishes no port {PORT}"
    page = look.page(second, PORT)
    if page is None:
        return f"it does not answer at its port {PORT}"
    return None if greeting in page.text else f"it was told {quoted(greeting)}, and its page says something else"


def _works(look: Look) -> str | None:
    second = _second(look)
    if second is None:
        return f"{NAME} has ended"
    commands = containers.top(second, client=look.client).commands
    workers = sum("gunicorn" in command for command in commands) - 1
    return None if workers == WORKERS else f"it has {max(workers, 0)}"


def _second(look: Look) -> Container | None:
    return next((one for one in look.containers(IMAGE) if one.facts.name == NAME), None)


def _pairs(env: object) -> list[tuple[str, str]]:
    entries = env if isinstance(env, list) else []
    return [(name, value) for name, _, value in (str(entry).partition("=") for entry in entries)]


_RUN = Check(f"a container `{NAME}` of the image `{IMAGE}` runs", _runs)

SECOND_BOARD = Exercise(
    name="second-board",
    title="A second notice board",
    task=f"Start a container `{NAME}` of the image `{IMAGE}`. It greets in another language, and has {WORKERS} workers.",
    checks=(
        _RUN,
        Check(f"it answers at its port {PORT} with a greeting of its own", _greets, after=_RUN),
        Check(f"{WORKERS} workers serve it", _works, after=_RUN),
    ),
    hints=(
        "The image stays as it is: which two settings of its Dockerfile's `ENV` line does this container need otherwise?",
        "`-e NAME=value` gives a container a setting, and may be repeated; `-p 5000` publishes the port on a free one outside.",
        f'`%container run -d --name {NAME} -p {PORT} -e GREETING="Guten Tag" -e …={WORKERS} {IMAGE}`',
    ),
)

EXERCISES = (SECOND_BOARD,)
