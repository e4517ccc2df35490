"""The exercises of `notebooks/11-deploying.ipynb`.

The image storefront serves a page at port 5000 that says what the environment variable REPLICA says; three containers of it run already.
"""

from __future__ import annotations

from dockerlab.containers import Container
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise

IMAGE = "storefront"
LABEL = ("service", "storefront")
REPLICAS = 5
PORT = 5000
_VARIABLE = "REPLICA"


def _all_run(look: Look) -> str | None:
    if look.image(IMAGE) is None:
        return f"there is no image {IMAGE}: run the cell above that builds it"
    running = len(look.containers(IMAGE))
    labelled = len(_replicas(look))
    if labelled >= REPLICAS:
        return None
    if running > labelled:
        return f"{labelled} run with the label; {running - labelled} of the image run without it"
    return f"{labelled} run" if labelled else "none runs yet"


def _each_is_somebody(look: Look) -> str | None:
    names = [look.environment(one).get(_VARIABLE, "").strip() for one in _replicas(look)]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"two of them are {quoted(twice[0])}" if twice else None


def _each_answers(look: Look) -> str | None:
    for one in sorted(_replicas(look), key=lambda replica: replica.facts.name or ""):
        if not look.is_published(one, PORT):
            return f"{one.facts.name} publishes no port {PORT}"
        page = look.page(one, PORT)
        if page is None:
            return f"{one.facts.name} does not answer at its port {PORT}"
        if look.environment(one).get(_VARIABLE, "").strip() not in page.text:
            return f"the page of {one.facts.name} does not say who it is"
    return None


def _replicas(look: Look) -> list[Container]:
    name, value = LABEL
    return [one for one in look.containers(IMAGE) if ((one.attrs.get("Config") or {}).get("Labels") or {}).get(name) == value]


_RUN = Check(f"{REPLICAS} containers of `{IMAGE}` with the label `{'='.join(LABEL)}` run", _all_run)
_DIFFER = Check("each was told who it is, and no two are the same", _each_is_somebody, after=_RUN)

SCALE_OUT = Exercise(
    name="scale-out",
    title="Five replicas",
    task=f"Start two more containers of `{IMAGE}`, `{IMAGE}-4` and `{IMAGE}-5`, so that {REPLICAS} replicas serve the shop.",
    checks=(_RUN, _DIFFER, Check(f"each answers at its port {PORT}, and says who it is", _each_answers, after=_DIFFER)),
    hints=(
        "The cell that started the three tells all that a replica gets: a name, a port, a label, and who it is.",
        f"`%container run` takes `-l {'='.join(LABEL)}` for the label, and `-e {_VARIABLE}=…` for who it is.",
        f'`%container run -d --name {IMAGE}-4 -p {PORT} -l {"=".join(LABEL)} -e {_VARIABLE}="replica 4" {IMAGE}`, and the fifth likewise.',
    ),
)

EXERCISES = (SCALE_OUT,)
