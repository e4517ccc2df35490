"""The exercises of `notebooks/10-sharing.ipynb`. What the registry has is asked of the registry itself.

The parcel's sender notes its uppermost layer, a digest, as a label on a container: a false parcel would have to have it, too.
"""

from __future__ import annotations

import json

from dockerlab.containers import Container
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise
from dockerlab.errors import UsageError
from dockerlab.images import Image

REGISTRY, REPOSITORY, FILE = "letterbox", "postcard", "/postcard.txt"
PARCEL, UNPACKED, NOTE = "parcel:1", "unpacked", "delivery-note"
_PORT = 5000


def _registry(look: Look) -> Container | None:
    container = look.container(REGISTRY)
    return container if container is not None and container.facts.state == "running" else None


def _runs(look: Look) -> str | None:
    return None if _registry(look) else f"the container {REGISTRY} does not run: run the cell above that starts it"


def _tags(look: Look) -> list[str]:
    """The tags of the repository, as the registry lists them."""
    registry = _registry(look)
    page = look.page(registry, _PORT, f"/v2/{REPOSITORY}/tags/list") if registry else None
    if page is None or page.status != 200:
        return []
    try:
        return [str(tag) for tag in json.loads(page.text)["tags"] or ()]
    except (ValueError, KeyError, TypeError):  # not a registry's answer
        return []


def _has_both(look: Look) -> str | None:
    missing = [tag for tag in ("1", "2") if tag not in _tags(look)]
    return f"it has no {' and no '.join(f'{REPOSITORY}:{tag}' for tag in missing)}" if missing else None


def _edition(look: Look, tag: str) -> Image | None:
    registry = _registry(look)
    try:
        return look.image(f"localhost:{registry.address(_PORT)[1]}/{REPOSITORY}:{tag}") if registry else None
    except UsageError:  # its port is not published
        return None


def _differ(look: Look) -> str | None:
    images = [_edition(look, tag) for tag in ("1", "2")]
    texts = []
    for tag, image in zip(("1", "2"), images, strict=True):
        if image is None:
            return f"the engine has no {REPOSITORY}:{tag} under the registry's name"
        text = look.read(image, FILE)
        if not (text or "").strip():
            return f"there is nothing in {FILE} of {REPOSITORY}:{tag}"
        texts.append(str(text).strip())
    return None if texts[0] != texts[1] else f"both say {quoted(texts[0])}"


_RUNS = Check(f"the registry `{REGISTRY}` runs", _runs)
_BOTH = Check(f"it has `{REPOSITORY}:1` and `{REPOSITORY}:2`", _has_both, after=_RUNS)
_TEXT = Check(f"the two have different words in `{FILE}`", _differ, after=_BOTH)

SECOND_EDITION = Exercise(
    name="second-edition",
    title="A second edition",
    task=f"Write another postcard, as `{REPOSITORY}:2`, and push it to the registry. The first one stays there.",
    checks=(_RUNS, _BOTH, _TEXT),
    hints=(
        "Three steps: build it, give it the registry's name, push it. All three are above, for the first postcard.",
        "Copy the `%%dockerfile` cell, with other words, and `-t {registry}/postcard:2`: then it is built under that name at once.",
        "`%%dockerfile -t {registry}/postcard:2` and below it the three lines; in the next cell `%image push {registry}/postcard:2`.",
    ),
)


def _sent(look: Look) -> str | None:
    """The layer by which the parcel is known: the sender noted it on a container of theirs."""
    note = look.container(NOTE)
    labels = (note.attrs.get("Config") or {}).get("Labels") or {} if note else {}
    return labels.get("layer") or None


def _is_loaded(look: Look) -> str | None:
    image, sent = look.image(PARCEL), _sent(look)
    if sent is None:
        return f"nothing has been sent yet: there is no container {NOTE}. Run the cells above that pack the parcel"
    if image is None:
        return f"there is no image {PARCEL}"
    layers = [layer.diff_id for layer in image.layers if layer.diff_id]
    return None if layers and layers[-1] == sent else f"{PARCEL} is not the image that was sent: its layers are others"


def _ran(look: Look) -> str | None:
    container, image = look.container(UNPACKED), look.image(PARCEL)
    if container is None:
        return f"there is no container {UNPACKED}"
    made = [one.id for one in look.containers(PARCEL, stopped=True)]
    if container.id not in made or image is None:
        return f"the container {UNPACKED} was made from another image"
    if (container.attrs.get("Config") or {}).get("Cmd") != look.configuration(image).get("Cmd"):
        return f"{UNPACKED} was given another command than the image's own: name none"
    facts = container.facts
    return None if facts.state == "exited" and facts.exit_code == 0 else f"it is not there yet: {facts.word}"


_LOADED = Check(f"there is an image `{PARCEL}`, the one that was sent", _is_loaded)
_RAN = Check(f"a container `{UNPACKED}` of it has run to its end", _ran, after=_LOADED)

THE_PARCEL = Exercise(
    name="the-parcel",
    title="A parcel for you",
    task=f"Get the image out of the file `parcel`, and run it in a container called `{UNPACKED}`.",
    checks=(_LOADED, _RAN),
    hints=(
        "The file holds an image, with its name. Which verb of `%image` reads such a file?",
        "`%image load {parcel}`. The braces put the variable's value into the line.",
        f"Then `%container run --name {UNPACKED} --replace {PARCEL}`, without `--rm`, so that the container stays to be looked at.",
    ),
)

EXERCISES = (SECOND_EDITION, THE_PARCEL)
