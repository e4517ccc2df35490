"""The exercises of `notebooks/06-one-image-many-containers.ipynb`.

The image greeter has a program that answers at port 5000 with the words that the environment variable GREETING has.
"""

from __future__ import annotations

from dockerlab.containers import Container
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

IMAGE = "greeter"
PORT = 5000
_VARIABLE = "GREETING"


def _two_run(look: Look) -> str | None:
    if look.image(IMAGE) is None:
        return f"there is no image {IMAGE}: run the cell above that builds it"
    running = look.containers(IMAGE)
    if len(running) >= 2:
        return None
    ended = len(look.containers(IMAGE, stopped=True)) > len(running)
    said = "one runs; one more is missing" if running else "none runs yet"
    return f"{said}; there is one that has ended: `%container ps -a`" if ended else said


def _greetings_differ(look: Look) -> str | None:
    greetings = [_greeting(look, one) for one in look.containers(IMAGE)]
    given = [greeting for greeting in greetings if greeting]
    if not given:
        return f"none was given a greeting: they have no variable {_VARIABLE}"
    if len(given) == 1:
        return f"one was given {quoted(given[0])}; the other has no greeting of its own"
    if len(set(given)) < 2:
        everyone = "both" if len(greetings) == 2 else "all"
        return f"{everyone} greet with {quoted(given[0])}: they should differ"
    return None


def _each_answers(look: Look) -> str | None:
    heard = set()
    for one in look.containers(IMAGE):
        greeting = _greeting(look, one)
        if not greeting:
            continue
        if not look.is_published(one, PORT):
            return f"the one that greets with {quoted(greeting)} publishes no port {PORT}"
        page = look.page(one, PORT)
        if page is None:
            return f"the one that greets with {quoted(greeting)} does not answer at its port {PORT}"
        if greeting not in page.text:
            return f"one was given {quoted(greeting)}, and answers something else"
        heard.add(greeting)
    return None if len(heard) >= 2 else f"only {quoted(min(heard))} is to be heard" if heard else "none answers"


def _greeting(look: Look, container: Container) -> str:
    return look.environment(container).get(_VARIABLE, "").strip()


_RUN = Check(f"two containers of `{IMAGE}` run", _two_run)
_DIFFER = Check("they were started with different greetings", _greetings_differ, after=_RUN)
_ANSWER = Check(f"each answers at its port {PORT} with its own greeting", _each_answers, after=_DIFFER)

TWO_GREETINGS = Exercise(
    name="two-greetings",
    title="Two greetings",
    task=f"Start two containers of the image `{IMAGE}` that greet with different words. The image stays as it is.",
    checks=(_RUN, _DIFFER, _ANSWER),
    hints=(
        f"What the program says is in the environment variable `{_VARIABLE}`, which a container gets when it is started.",
        f"`-e {_VARIABLE}=Hello` gives it one; `-p {PORT}` makes its port reachable; `-d` lets it run in the background.",
        f"`%container run -d --name hello -p {PORT} -e {_VARIABLE}=Hello {IMAGE}`, and once more with another name and another word.",
    ),
)

EXERCISES = (TWO_GREETINGS,)
