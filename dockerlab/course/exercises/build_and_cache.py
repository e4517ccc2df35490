"""The exercises of `notebooks/05-build-and-cache.ipynb`.

The notebook's context holds app.py and notice.txt. Which layer brought a file is read from the image itself, not from its history's words;
and an image that only has files of those names is found out by a container of it.
"""

from __future__ import annotations

from dockerlab import images
from dockerlab.course.common import shows
from dockerlab.course.look import Look
from dockerlab.course.model import Check, Exercise

IMAGE = "quickboard"
BASE = "python:3.10"
PORT = 5000
_FLASK, _APP, _NOTICE = "/flask/__init__.py", "app/app.py", "app/notice.txt"
_CALLED = {_FLASK: "Flask", _APP: "`/app/app.py`", _NOTICE: "`/app/notice.txt`"}


def _is_built(look: Look) -> str | None:
    return None if look.image(IMAGE) else f"there is no image {IMAGE} yet"


def _is_on_base(look: Look) -> str | None:
    image, base = look.image(IMAGE), look.image(BASE)
    if base is None:
        return f"there is no image {BASE}: run the cell above that prepares it"
    if image is None:
        return f"there is no image {IMAGE}"
    lower = [layer.diff_id for layer in base.layers if layer.diff_id]
    own = [layer.diff_id for layer in image.layers if layer.diff_id]
    return None if own[: len(lower)] == lower else f"its lowest layers are not those of {BASE}"


def _places(look: Look) -> dict[str, int]:
    """What each of the three is in: the index of the layer that brought it first; those that are nowhere are left out."""
    image = look.image(IMAGE)
    found: dict[str, int] = {}
    if image is None:
        return found
    for layer in images.explore(image, client=look.client).layers:
        paths = [f"/{file.path}" for file in layer.files]
        for end in _CALLED:
            if end not in found and any(path.endswith(end) for path in paths):
                found[end] = layer.index
    return found


def _has_all(look: Look) -> str | None:
    found = _places(look)
    missing = [called for end, called in _CALLED.items() if end not in found]
    return f"{' and '.join(missing)} cannot be found in it" if missing else None


def _in_order(look: Look) -> str | None:
    found = _places(look)
    if len(found) < len(_CALLED):
        return "not all of them are in it"
    for lower, upper in ((_FLASK, _APP), (_APP, _NOTICE)):
        if found[lower] == found[upper]:
            return f"one layer brings both {_CALLED[lower]} and {_CALLED[upper]}: a change of one makes both steps run"
        if found[lower] > found[upper]:
            return f"{_CALLED[upper]} lies below {_CALLED[lower]}, which runs again whenever it changes"
    return None


_BUILT = Check(f"there is an image `{IMAGE}`", _is_built)
_ON_BASE = Check(f"it is built upon `{BASE}`", _is_on_base, after=_BUILT)
_ALL = Check("Flask, `/app/app.py` and `/app/notice.txt` are in it", _has_all, after=_ON_BASE)
_ORDER = Check("each in a layer of its own: Flask lowest, the notice on top", _in_order, after=_ALL)
_SHOWS = shows(
    lambda look: look.image(IMAGE),
    PORT,
    lambda look: f"/{_NOTICE}",
    f"a container of it shows, at port {PORT}, what is in `/{_NOTICE}`",
    after=_ALL,
)

QUICK_BOARD = Exercise(
    name="quick-board",
    title="A board that is built quickly",
    task=(
        f"Build the notice board as `{IMAGE}`, so that a new notice makes neither the installation nor the copy of `app.py` run again."
    ),
    checks=(_BUILT, _ON_BASE, _ALL, _ORDER, _SHOWS),
    hints=(
        "A step runs again when one above it did. What changes most often: Flask, the app, or the notice?",
        "`COPY . .` copies all files in one step. `COPY app.py .` copies one.",
        "`RUN pip install flask`, then `COPY app.py .`, then `COPY notice.txt .`, below `FROM` and `WORKDIR /app`.",
    ),
)

EXERCISES = (QUICK_BOARD,)
