"""The exercises of `notebooks/04-the-dockerfile.ipynb`."""

from __future__ import annotations

from collections.abc import Callable

from dockerlab.course.common import is_there, runs
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

ABOUT, MENDED, PORT = "hello-about", "hello-mended", 5000


def _publishes(name: str, after: Check) -> Check:
    def lacks(look: Look) -> str | None:
        found = look.container(name)
        return None if found and look.is_published(found, PORT) else f"{name} publishes no port {PORT}"

    return Check(f"its port {PORT} is published", lacks, after)


def _answers(name: str, path: str, but: str = "") -> Callable[[Look], str | None]:
    def lacks(look: Look) -> str | None:
        found = look.container(name)
        page = look.page(found, PORT, path) if found else None
        if page is None:
            return "it does not answer: is the app to be reached from outside its container? (`--host 0.0.0.0`)"
        if page.status != 200:
            return f"{path} answers with {page.status}"
        if not page.text.strip():
            return f"{path} answers with nothing"
        home = look.page(found, PORT, but) if found and but else None
        return f"{path} says the same as {but}: {quoted(page.text)}" if home and home.text == page.text else None

    return lacks


_ABOUT, _ABOUT_RUNS = is_there(ABOUT), runs(ABOUT, ABOUT)
_ABOUT_PUBLISHES = _publishes(ABOUT, _ABOUT_RUNS)
_MENDED, _MENDED_RUNS = is_there(MENDED), runs(MENDED, MENDED)
_MENDED_PUBLISHES = _publishes(MENDED, _MENDED_RUNS)

ABOUT_PAGE = Exercise(
    name="about-page",
    title="A page of your own",
    task=f"Build an image `{ABOUT}` of an app with a page `/about`, and start a container `{ABOUT}` of it with its port {PORT} published.",
    checks=(
        _ABOUT,
        _ABOUT_RUNS,
        _ABOUT_PUBLISHES,
        Check("`/about` answers with words of its own", _answers(ABOUT, "/about", "/"), _ABOUT_PUBLISHES),
    ),
    hints=(
        'In `app.py` a page is a function with a route: `@app.route("/about")`.',
        "The Dockerfile need not change, only the file that it copies and the name after `-t`.",
        f"`%container run -d --name {ABOUT} --replace -p {PORT} --wait={PORT} {ABOUT}`",
    ),
)

MEND_THE_DOCKERFILE = Exercise(
    name="mend-the-dockerfile",
    title="A Dockerfile to mend",
    task=f"Build the Dockerfile without its mistakes as `{MENDED}`; a container `{MENDED}` of it answers at its published port {PORT}.",
    checks=(_MENDED, _MENDED_RUNS, _MENDED_PUBLISHES, Check("its page is to be seen", _answers(MENDED, "/"), _MENDED_PUBLISHES)),
    hints=(
        "Build it as it is: the message names the line that fails. Mend that one, and build again.",
        "A file that is copied to another name is not found by Flask. Where should `app.py` go?",
        "127.0.0.1 is the container itself: nobody outside reaches it. 0.0.0.0 means every address that it has.",
    ),
)

EXERCISES = (ABOUT_PAGE, MEND_THE_DOCKERFILE)
