"""What the flags of services mean: text → values of the Engine API. Pure. Every function raises UsageError, naming the flag."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from dockerlab.dockerfile.durations import duration
from dockerlab.dockerfile.refusal import Refused
from dockerlab.errors import UsageError

ORDERS: Final = ("start-first", "stop-first")
FAILURES: Final = {"update": ("pause", "continue", "rollback"), "rollback": ("pause", "continue")}
CONDITIONS: Final = ("none", "on-failure", "any")
ENDPOINTS: Final = ("vip", "dnsrr")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?", re.IGNORECASE)
_SHORT_PORT: Final = re.compile(r"(?:(?P<published>\d+):)?(?P<target>\d+)(?:/(?P<protocol>tcp|udp|sctp))?")
_CONSTRAINT: Final = re.compile(r"\s*[\w.\-/]+\s*(?:==|!=)\s*\S.*")
_PORT: Final = "Give 8080:5000, or mode=host,target=5000 with published=8080: `-p mode=host,target=5000`."


def several(given: str | Iterable[str]) -> list[str]:
    """What a flag that repeats was given: one text, or several."""
    return [given] if isinstance(given, str) else [str(one) for one in given]


def port(flag: str, item: str) -> dict[str, Any]:
    """`8080:5000`, `5000/udp`, or `mode=host,target=5000,published=8080,protocol=tcp`, as the API's PortConfig.

    Without `published` the engine takes a free port.
    """

    def number(name: str, value: str) -> int:
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise UsageError(f"{flag} '{item}': {name} is a port, 1 to 65535", hint=_PORT)
        return int(value)

    if "=" not in item:
        match = _SHORT_PORT.fullmatch(item)
        if not match:
            hint = "A service is published on every node, on no address of one. " + _PORT if item.count(":") > 1 else _PORT
            raise UsageError(f"{flag} '{item}': not a port to publish", hint=hint)
        given: Mapping[str, str] = {key: value for key, value in match.groupdict().items() if value}
    else:
        given = pairs(flag, item, ("mode", "target", "published", "protocol"), _PORT)
    if "target" not in given:
        raise UsageError(f"{flag} '{item}': target is missing, the port in the container", hint=_PORT)
    mode, protocol = given.get("mode", "ingress"), given.get("protocol", "tcp")
    if mode not in ("host", "ingress"):
        raise UsageError(f"{flag} '{item}': mode is host or ingress", hint=_PORT)
    if protocol not in ("tcp", "udp", "sctp"):
        raise UsageError(f"{flag} '{item}': protocol is tcp, udp or sctp", hint=_PORT)
    made: dict[str, Any] = {"Protocol": protocol, "TargetPort": number("target", given["target"]), "PublishMode": mode}
    if given.get("published") not in (None, "0"):
        made["PublishedPort"] = number("published", given["published"])
    return made


def network(flag: str, item: str) -> dict[str, Any]:
    """`NAME`, or `name=NAME,alias=ALIAS`, as the API's NetworkAttachmentConfig."""
    if "=" not in item:
        return {"Target": item}
    aliases, given = [], {}
    for key, value in _fields(flag, item, ("name", "alias", "driver-opt"), "For example: --network name=cafe,alias=kitchen."):
        if key == "alias":
            aliases.append(value)
        else:
            given[key] = value
    if "name" not in given:
        raise UsageError(f"{flag} '{item}': name is missing", hint="For example: --network name=cafe,alias=kitchen.")
    return {"Target": given["name"], **({"Aliases": aliases} if aliases else {})}


def mounted(flag: str, item: str, kind: str) -> tuple[str, dict[str, Any]]:
    """`NAME`, or `source=NAME,target=FILE,uid=0,gid=0,mode=0400`: the name, and the API's File. kind: "secret" or "config"."""
    example = f"For example: --{kind} source={kind},target=/run/it,mode=0400."
    given = (
        {"source": item} if "=" not in item else dict(pairs(flag, item, ("source", "src", "target", "uid", "gid", "mode"), example))
    )
    name = given.get("source") or given.get("src")
    if not name:
        raise UsageError(f"{flag}: source is missing, the name of the {kind}", hint=example)
    mode = given.get("mode", "0444")
    if not re.fullmatch(r"0?[0-7]{3,4}", mode):
        raise UsageError(f"{flag} '{item}': mode is a file's mode in octal digits", hint=example)
    target = given.get("target") or (name if kind == "secret" else f"/{name}")
    return name, {"Name": target, "UID": given.get("uid", "0"), "GID": given.get("gid", "0"), "Mode": int(mode, 8)}


def mount(flag: str, item: str) -> dict[str, Any]:
    """`type=volume,source=data,target=/data[,readonly]`, as the API's Mount."""
    example = "For example: --mount type=volume,source=data,target=/data."
    known = ("type", "source", "src", "target", "dst", "destination", "readonly", "ro", "tmpfs-size")
    given = dict(pairs(flag, item, known, example, bare=("readonly", "ro")))
    kind = given.get("type", "volume")
    if kind not in ("volume", "bind", "tmpfs"):
        raise UsageError(f"{flag} '{item}': type is volume, bind or tmpfs", hint=example)
    target = given.get("target") or given.get("dst") or given.get("destination")
    if not target:
        raise UsageError(f"{flag} '{item}': target is missing, where it is in the container", hint=example)
    made: dict[str, Any] = {"Type": kind, "Target": target}
    if source := given.get("source") or given.get("src"):
        made["Source"] = source
    if given.get("readonly", given.get("ro", "false")).lower() in ("true", "1", ""):
        made["ReadOnly"] = True
    if "tmpfs-size" in given:
        made["TmpfsOptions"] = {"SizeBytes": memory(flag, given["tmpfs-size"])}
    return made


def constraint(flag: str, item: str) -> str:
    """`node.role==worker`: which nodes a service may be on."""
    if not _CONSTRAINT.fullmatch(item):
        raise UsageError(
            f"{flag} '{item}': not a constraint", hint="Give KEY==VALUE or KEY!=VALUE: `--constraint node.hostname==machine1`."
        )
    return item.strip()


def nanoseconds(flag: str, given: str) -> int:
    """A time as Go writes it."""
    try:
        found = duration(str(given))
    except Refused as error:
        raise UsageError(f"{flag} '{given}': not a time", hint="A time is a number with a unit: 10s, 1m30s, 500ms.") from error
    if found < 0:
        raise UsageError(f"{flag} '{given}': a time is not below 0")
    return found


def memory(flag: str, given: str | int) -> int:
    """Bytes; units are powers of 1,024. 0 takes a limit away."""
    match = _SIZE.fullmatch(str(given).strip())
    if not match:
        raise UsageError(f"{flag} '{given}': not a size", hint=f"Give bytes, or a number with k, m or g: `{flag} 512m`.")
    return int(float(match[1]) * 1024 ** (" kmgt".index((match[2] or " ").lower())))


def nano_cpus(flag: str, given: str | float) -> int:
    """Billionths of a processor. 0 takes a limit away."""
    try:
        nano = int(Decimal(str(given)) * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        nano = -1
    if nano < 0:
        raise UsageError(f"{flag} '{given}': not a number of processors", hint=f"Give a number: `{flag} 0.5`.")
    return nano


def count(flag: str, given: str | int) -> int:
    """A number, 0 or more."""
    if not str(given).isdecimal():
        raise UsageError(f"{flag} '{given}': not a number", hint="Give a whole number, 0 or more.")
    return int(given)


def ratio(flag: str, given: str | float) -> float:
    """A share, 0 to 1."""
    try:
        found = float(given)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UsageError(f"{flag} '{given}': not a share", hint="Give a number from 0 to 1: 0.25 is one in four.")
    return found


def one_of(flag: str, given: str, known: Iterable[str]) -> str:
    """A word out of a few."""
    words = tuple(known)
    if given not in words:
        raise UsageError(f"{flag} '{given}': not one", hint=f"Give {', '.join(words[:-1])} or {words[-1]}.")
    return given


def pairs(flag: str, item: str, known: Iterable[str], hint: str, bare: Iterable[str] = ()) -> dict[str, str]:
    """`key=value,…`; a value with a comma stands in double quotes. bare: keys that may stand without a value."""
    return dict(_fields(flag, item, known, hint, bare))


def _fields(flag: str, item: str, known: Iterable[str], hint: str, bare: Iterable[str] = ()) -> list[tuple[str, str]]:
    found = []
    for part in next(csv.reader([item]), []):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if key not in known or not (equals or key in bare):
            raise UsageError(f"{flag}: '{key}' is nothing that it knows" if equals else f"{flag}: '{key}' has no value", hint=hint)
        found.append((key, value))
    return found
