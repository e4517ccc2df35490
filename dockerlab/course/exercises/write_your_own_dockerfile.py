"""The exercises of `notebooks/12-write-your-own-dockerfile.ipynb`: an image for an app that the learner is given, and a container of it.

The app's files are app.py, fortunes.txt, requirements.txt (Flask, gunicorn) and, which is to stay outside, .env. At "/" it answers with a
line of fortunes.txt, which it reads anew each time: so a container tells whether the image is of that app.
"""

from __future__ import annotations

import posixpath

from dockerlab import containers, images
from dockerlab.containers import Container
from dockerlab.course.common import shows, why_none
from dockerlab.course.look import Look, quoted
from dockerlab.course.model import Check, Exercise
from dockerlab.faces import human
from dockerlab.images import Exploration, Image

IMAGE = "fortune-teller"
NAME = "teller"
PORT = 5000
LARGEST = 30_000_000  # bytes that the image may add to its base: Flask and gunicorn are about 17 MB
_BASE = "python:3.10"
_FILES = ("app.py", "fortunes.txt")
_SECRET = ".env"
_REQUIREMENTS = "requirements.txt"
_LIBRARY = "site-packages/flask/__init__.py"
_CACHES = ("/.cache/pip/", "/.cache/uv/")


def _is_there(look: Look) -> str | None:
    return None if look.image(IMAGE) is not None else f"there is no image {IMAGE} yet"


def _has_the_app(look: Look) -> str | None:
    image = _image(look)
    folder = _folder(look)
    lacks = [name for name in _FILES if look.read(image, posixpath.join(folder, name)) is None]
    if lacks:
        return f"{' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not in its working directory, {quoted(folder)}"
    return None if _layer_of(_explored(look), _LIBRARY) is not None else "Flask is not in it"


def _keeps_the_secret(look: Look) -> str | None:
    found = _layer_of(_explored(look), _SECRET)
    return (
        None
        if found is None
        else f"{_SECRET} is in layer {found + 1}: a later line that removes it does not take it out of the layer"
    )


def _is_not_root(look: Look) -> str | None:
    user = str(look.configuration(_image(look)).get("User") or "").partition(":")[0]
    return f"its user is {quoted(user)}: root" if user in ("root", "0") else None if user else "it names no user: that is root"


def _installs_first(look: Look) -> str | None:
    explored = _explored(look)
    folder = _folder(look)
    listed, source = (_layer_of(explored, posixpath.join(folder, name)) for name in (_REQUIREMENTS, _FILES[0]))
    installed = _layer_of(explored, _LIBRARY)
    if installed is None:
        return "Flask is not in it"
    if source is None:
        return f"{_FILES[0]} is not in it"
    if source <= installed:
        return f"{_FILES[0]} comes before the libraries: each change of it would install them anew"
    return None if listed is None or listed <= installed else f"{_REQUIREMENTS} comes after the libraries that it lists"


def _is_small(look: Look) -> str | None:
    explored = _explored(look)
    for contents in explored.contents:
        if any(cache in f"/{file.path}" for file in contents.files for cache in _CACHES):
            return "what pip had downloaded is still in it, in its cache"
    base = look.image(_BASE)
    below = 0 if base is None else len((base.attrs.get("RootFS") or {}).get("Layers") or ())
    added = sum(contents.size for contents in explored.contents[below:])
    return None if added <= LARGEST else f"it adds more than {human.size(LARGEST)} to its base"


def _runs(look: Look) -> str | None:
    if look.image(IMAGE) is None:
        return f"there is no image {IMAGE} yet"
    return None if _teller(look) is not None else why_none(look, NAME, IMAGE)


def _tells(look: Look) -> str | None:
    teller = _teller(look)
    if teller is None:
        return f"{NAME} has ended"
    if not look.is_published(teller, PORT):
        return f"it publishes no port {PORT}"
    page = look.page(teller, PORT)
    if page is None:
        return f"it does not answer at its port {PORT}"
    fortunes = (look.read(teller, posixpath.join(_folder(look), _FILES[1])) or "").splitlines()
    return None if page.status == 200 and page.text.strip() in fortunes else f"its page is no line of {_FILES[1]}"


def _is_served(look: Look) -> str | None:
    teller = _teller(look)
    if teller is None:
        return f"{NAME} has ended"
    commands = containers.top(teller, client=look.client).commands
    return None if any("gunicorn" in command for command in commands) else "no process in it is gunicorn"


def _image(look: Look) -> Image:
    return images.get(IMAGE, client=look.client)


def _folder(look: Look) -> str:
    return str(look.configuration(_image(look)).get("WorkingDir") or "/")


def _explored(look: Look) -> Exploration:
    # Kept by the client: the checks read the image once.
    return images.explore(_image(look), client=look.client)


def _layer_of(explored: Exploration, name: str) -> int | None:
    """The lowest layer that stores a file of that path, "/app/app.py", or of any path with that end, "flask/__init__.py"."""
    for index, contents in enumerate(explored.contents):
        for file in contents.files:
            path = f"/{file.path}"
            if path == name or (not name.startswith("/") and path.endswith(f"/{name}")):
                return index
    return None


def _teller(look: Look) -> Container | None:
    return next((one for one in look.containers(IMAGE) if one.facts.name == NAME), None)


_IMAGE_IS_THERE = Check(f"an image `{IMAGE}` is there", _is_there)

_HAS_THE_APP = Check("it has Flask, and the app in its working directory", _has_the_app, after=_IMAGE_IS_THERE)
_SHOWS = shows(
    lambda look: look.image(IMAGE),
    PORT,
    lambda look: posixpath.join(_folder(look), _FILES[1]),
    f"a container of it tells, at port {PORT}, what is in `{_FILES[1]}`",
    after=_HAS_THE_APP,
)

YOUR_OWN_IMAGE = Exercise(
    name="your-own-image",
    title="An image of your own",
    task=f"Write a Dockerfile for the fortune teller, and build it as `{IMAGE}`.",
    checks=(
        _IMAGE_IS_THERE,
        _HAS_THE_APP,
        Check(f"`{_SECRET}` is in none of its layers", _keeps_the_secret, after=_IMAGE_IS_THERE),
        Check(
            "the libraries lie below the source, so that a change of the source leaves them cached",
            _installs_first,
            after=_IMAGE_IS_THERE,
        ),
        Check("it runs as a user who is not root", _is_not_root, after=_IMAGE_IS_THERE),
        Check(
            f"it is small: no download is left over, and it adds at most {human.size(LARGEST)} to its base",
            _is_small,
            after=_IMAGE_IS_THERE,
        ),
        _SHOWS,
    ),
    hints=(
        "Five things, one after the other: a base image, a folder to work in, the libraries, the source, a command.",
        f"`WORKDIR /app`, then `COPY {_REQUIREMENTS} .` and its `RUN pip install`, and only then `COPY . .`.",
        f"`pip install --no-cache-dir -r {_REQUIREMENTS}` leaves no download behind. A line in `.dockerignore` keeps `{_SECRET}` outside.",
        'The last lines: `USER 1000`, and `CMD ["gunicorn", "--bind", "0.0.0.0:5000", "app:app"]`.',
    ),
)

_TELLER_RUNS = Check(f"a container `{NAME}` of the image `{IMAGE}` runs", _runs)

YOUR_OWN_CONTAINER = Exercise(
    name="your-own-container",
    title="And a container of it",
    task=f"Start a container `{NAME}` of the image `{IMAGE}`. It tells fortunes at its port {PORT}.",
    checks=(
        _TELLER_RUNS,
        Check(f"it answers at its port {PORT} with a fortune", _tells, after=_TELLER_RUNS),
        Check("gunicorn serves it, not the development server", _is_served, after=_TELLER_RUNS),
    ),
    hints=(
        f"`-d` lets it run in the background, `--name` gives it its name, and `-p {PORT}` makes its port reachable.",
        f"`%container run -d --name {NAME} --replace -p {PORT} --wait={PORT} {IMAGE}`",
    ),
)

EXERCISES = (YOUR_OWN_IMAGE, YOUR_OWN_CONTAINER)
