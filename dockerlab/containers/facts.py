"""What engines say of a container → the facts that are shown. Pure.

An *inspected* container (GET /containers/ID/json) and a *listed* one (GET /containers/json) have different shapes; both are read
here, Docker's and Podman's. The image is shown by its familiar name, without `:latest`, so that it is the same on every engine; of the
command, what looks like a secret is `***`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dockerlab import reference
from dockerlab.containers.address import shown
from dockerlab.containers.ports import Published, published_in
from dockerlab.errors import InvalidReference
from dockerlab.faces import hiding
from dockerlab.faces.container import Facts, PortLink

# The left half of the names that Docker and Podman make up (moby, pkg/namesgenerator).
_MADE_UP = re.compile(
    r"""(?:admiring
    |adoring|affectionate|agitated|amazing|angry|awesome|beautiful|blissful|bold|boring|brave|busy|charming|clever
    |compassionate|competent|condescending|confident|cool|cranky|crazy|dazzling|determined|distracted|dreamy|eager|ecstatic
    |elastic|elated|elegant|eloquent|epic|exciting|fervent|festive|flamboyant|focused|friendly|frosty|funny|gallant|gifted
    |goofy|gracious|great|happy|hardcore|heuristic|hopeful|hungry|infallible|inspiring|intelligent|interesting|jolly|jovial
    |keen|kind|laughing|loving|lucid|magical|modest|musing|mystifying|naughty|nervous|nice|nifty|nostalgic|objective
    |optimistic|peaceful|pedantic|pensive|practical|priceless|quirky|quizzical|recursing|relaxed|reverent|romantic|sad
    |serene|sharp|silly|sleepy|stoic|strange|stupefied|suspicious|sweet|tender|thirsty|trusting|unruffled|upbeat|vibrant
    |vigilant|vigorous|wizardly|wonderful|xenodochial|youthful|zealous|zen)_[a-z]+\d?""",
    re.VERBOSE,
)
_ENDED = re.compile(r"Exited \((-?\d+)\)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)?")


def facts(attrs: Mapping[str, Any], url: Callable[[Published], str | None], *, gone: bool = False) -> Facts:
    """attrs: inspected or listed. url: the address of a published port for a page. gone: whether it is no longer there."""
    name = engine_name(attrs)
    state = attrs.get("State") or {}
    inspected = isinstance(state, Mapping)
    status = str(state.get("Status", "") if inspected else state).lower()
    status = {"configured": "created", "initialized": "created", "stopped": "exited"}.get(status, status)
    ended = _ENDED.match(str(attrs.get("Status", "")))
    code = int(state.get("ExitCode", 0)) if inspected else int(ended[1]) if ended else 0
    config = attrs.get("Config") or {}
    command = _command([attrs.get("Path") or "", *(attrs.get("Args") or ())] if inspected else attrs.get("Command"))
    return Facts(
        id=str(attrs.get("Id", "")),
        name="" if is_made_up(name) else name,
        engine_name=name,
        image=image_name(str(config.get("Image") or attrs.get("ImageName") or "") if inspected else str(attrs.get("Image", ""))),
        command=hiding.hide_in_command(command, secrets_of(attrs)),
        state="removed" if gone else status,
        exit_code=code if status == "exited" else None,
        health=_health(attrs) if status == "running" and not gone else "",
        created=epoch(attrs.get("Created")),
        ports=() if gone else tuple(dict.fromkeys(PortLink(shown(p), url(p)) for p in published_in(attrs))),
    )


def engine_name(attrs: Mapping[str, Any]) -> str:
    """The name that the engine has for it; of several, its own, not another's link to it."""
    names = [attrs["Name"]] if attrs.get("Name") else attrs.get("Names") or [""]
    return str(min(names, key=lambda n: n.count("/"))).removeprefix("/")


def is_made_up(name: str) -> bool:
    """Whether an engine made the name up, like `nifty_hopper`."""
    return bool(_MADE_UP.fullmatch(name))


def image_name(given: str) -> str:
    """The familiar name, without `:latest`; '' for an id."""
    given = given.removeprefix("localhost/")
    if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", given):
        return ""
    try:
        return reference.parse(given).familiar.removesuffix(":latest")
    except InvalidReference:
        return given


def epoch(given: Any) -> float | None:
    """A time of the API, in seconds since the epoch; None for none (year 1)."""
    if isinstance(given, (int, float)):
        return float(given)
    match = _TIME.match(str(given or ""))
    if not match or match[1].startswith("0001"):
        return None
    return datetime.fromisoformat(f"{match[1]}{match[2] or ''}{(match[3] or 'Z').replace('Z', '+00:00')}").timestamp()


def secrets_of(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of the environment that are not shown, so that they are not shown elsewhere either."""
    pairs = (str(entry).partition("=") for entry in (attrs.get("Config") or {}).get("Env") or ())
    return tuple(value for name, _, value in pairs if hiding.is_secret(name))


def has_health_check(attrs: Mapping[str, Any]) -> bool:
    test = ((attrs.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] not in ("NONE", "")


def _health(attrs: Mapping[str, Any]) -> str:
    state = attrs.get("State")
    if isinstance(state, Mapping):
        health = state.get("Health") or state.get("Healthcheck") or {}
        status = str(health.get("Status") or "")
        return status if has_health_check(attrs) and status != "none" else ""
    match = re.search(r"\((?:health: )?(healthy|unhealthy|starting)\)", str(attrs.get("Status", "")))
    return match[1] if match else ""


def _command(given: Any) -> str:
    return given if isinstance(given, str) else shlex.join(hiding.hide_arguments(given or ()))
