"""The exercises of `notebooks/03-images-are-files-in-layers.ipynb`."""

from __future__ import annotations

from dockerlab import images
from dockerlab.course.common import is_there
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise
from dockerlab.images.explored import ExploredLayer

TWO, LEAN, BASE = "two-layers", "nothing-wasted", "busybox"
_FILES = ("first.txt", "second.txt")
_COUNT = 80000
_LARGE = 200_000  # bytes; the numbers take twice as many


def _own_layers(look: Look, name: str) -> tuple[ExploredLayer, ...] | None:
    """The layers that an image has over busybox; None where it is not built on it."""
    image, base = look.image(name), look.image(BASE)
    if image is None or base is None:
        return None
    chain, below = ([layer.chain_id for layer in one.layers if layer.chain_id] for one in (image, base))
    if chain[: len(below)] != below:
        return None
    return images.explore(image, client=look.client).layers[len(below) :]


def _two(look: Look) -> str | None:
    own = _own_layers(look, TWO)
    if own is None:
        return f"it is not built on {BASE} as it is now"
    return None if len(own) == 2 else f"it has {len(own)} of its own"


def _one_file_each(look: Look) -> str | None:
    for layer, wanted in zip(_own_layers(look, TWO) or (), _FILES, strict=False):
        # In the layer of a RUN, Podman leaves empty files at what it mounts: /etc/hosts and the like.
        files = [
            file for file in layer.files if file.kind != "directory" and (file.size or not file.path.startswith(("etc/", "run/")))
        ]
        brought = [file.path for file in files]
        if brought != [wanted]:
            listed = ", ".join(f"/{path}" for path in brought[:3]) or "no file"
            return f"the one that is to bring /{wanted} brings {quoted(listed)}"
    return None


def _counted(look: Look) -> str | None:
    image = look.image(LEAN)
    text = look.read(image, "/count.txt") if image else None
    if text is None:
        return "there is no file /count.txt in it"
    number = text.split()[0] if text.split() else ""
    return None if number == str(_COUNT) else f"/count.txt begins with {quoted(number)}, not with {_COUNT}"


def _wastes_nothing(look: Look) -> str | None:
    own = _own_layers(look, LEAN)
    if own is None:
        return f"it is not built on {BASE} as it is now"
    kept = [file.path for layer in own for file in layer.files if file.size > _LARGE]
    return f"a layer keeps {quoted('/' + kept[0])}" if kept else None


_TWO, _LEAN = is_there(TWO), is_there(LEAN)
_IN_TWO = Check("it has two layers over busybox", _two, _TWO)

TWO_LAYERS = Exercise(
    name="two-layers",
    title="Two layers",
    task=f"Build an image `{TWO}` from `{BASE}`: the first layer of your own brings `/first.txt`, the second `/second.txt`.",
    checks=(_TWO, _IN_TWO, Check("each brings its file, and nothing else", _one_file_each, _IN_TWO)),
    hints=(
        "A `RUN` or a `COPY` makes a layer. Two of them make two.",
        "`RUN echo one > /first.txt` brings a file.",
        f"A cell that begins with `%%dockerfile -t {TWO}`, then `FROM {BASE}`, then two lines with `RUN`.",
    ),
)

NOTHING_WASTED = Exercise(
    name="nothing-wasted",
    title="Nothing wasted",
    task=f"Build an image `{LEAN}` from `{BASE}` with `/count.txt`, the number of lines of `seq 1 {_COUNT}`; no layer keeps those.",
    checks=(
        _LEAN,
        Check(f"`/count.txt` in it says {_COUNT}", _counted, _LEAN),
        Check("none of its layers keeps the numbers", _wastes_nothing, _LEAN),
    ),
    hints=(
        "A layer holds what is there when its line has ended. What is made and removed within one line is in no layer.",
        "`&&` puts several commands into one `RUN`.",
        f"`RUN seq 1 {_COUNT} > /n && wc -l < /n > /count.txt && rm /n`",
    ),
)

EXERCISES = (TWO_LAYERS, NOTHING_WASTED)
