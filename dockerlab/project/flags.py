"""Which words of a magic's line are flags, which are their values, which are arguments: read as the `docker` command reads them. Pure.

    given = read("container", "run", ["-dp", "80", "--rm", "busybox", "ls", "-l"])
    given.flags       (("-d", None), ("-p", "80"), ("--rm", None))
    given.arguments   ("busybox", "ls", "-l")

The magics have parsers of their own, which judge; this needs none of them, for a notebook that is only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

_PROCESS: Final = "-e --env --env-file -w --workdir -u --user"

_JOINING: Final = "--advertise-addr --listen-addr --data-path-addr --availability"
_SERVICE_LISTS: Final = ("env", "label", "container-label", "publish", "secret", "config", "network", "constraint", "mount")
_ROLLING: Final = ("delay", "parallelism", "failure-action", "order", "monitor", "max-failure-ratio")
_SERVICE: Final = (
    "--replicas --endpoint-mode -u --user -w --workdir --entrypoint --hostname --stop-grace-period"
    " --limit-memory --limit-cpu --reserve-memory --reserve-cpu"
    " --restart-condition --restart-delay --restart-max-attempts --restart-window"
    " --health-cmd --health-interval --health-timeout --health-retries --health-start-period "
) + " ".join(f"--{which}-{name}" for which in ("update", "rollback") for name in _ROLLING)

# magic and verb → the flags that take the next word
VALUED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    key: frozenset(flags.split())
    for key, flags in {
        ("dockerfile", ""): "-f --file -t --tag --build-arg --target --no-cache-filter --platform --label --cache-from --cache-to"
        " --build-context --secret --ssh -o --output --context --var",
        ("context", ""): "--chmod",
        ("context", "add"): "--var",
        ("container", "run"): f"{_PROCESS} -p --publish -v --volume --name --network -m --memory --cpus --entrypoint -l --label"
        " --restart --platform",
        ("container", "exec"): _PROCESS,
        ("container", "debug"): "--name -u --user",
        ("container", "logs"): "-n --tail --since",
        ("container", "stop"): "-t --time --timeout",
        ("container", "restart"): "-t --time --timeout",
        ("container", "kill"): "-s --signal",
        ("container", "commit"): "-m --message",
        ("engine", "ls"): "--timeout",
        ("engine", "picture"): "--example",
        **{("compose", verb): "-p --project-name" for verb in ("up", "down", "ps", "config")},
        ("compose", "logs"): "-p --project-name -n --tail",
        ("network", "create"): "-d --driver",
        ("swarm", "init"): f"{_JOINING} --default-addr-pool --dispatcher-heartbeat",
        ("swarm", "join"): f"{_JOINING} --token --var",
        ("swarm", "secret"): "--var --file -l --label",
        ("swarm", "config"): "--var --file -l --label",
        ("service", "create"): f"{_SERVICE} --name --mode --env-file -e -l -p {' '.join(f'--{name}' for name in _SERVICE_LISTS)}",
        ("service", "update"): f"{_SERVICE} --image --args "
        + " ".join(f"--{name}-{what}" for name in _SERVICE_LISTS for what in ("add", "rm")),
        ("service", "logs"): "-n --tail --since",
        ("image", "explore"): "--layer --changed --find --depth --image",
        ("image", "pull"): "--platform",
        ("image", "kubernetes"): "--replicas --port --name --type -o --output",
        ("image", "remote"): "--platform",
        ("image", "login"): "-u --username --password-var -p --password",
        ("image", "copy"): "--to",
        ("image", "save"): "--format --compress",
    }.items()
}
# How many arguments come before all that follows belongs to the last one.
_REST_AFTER: Final = {("container", "run"): 1, ("container", "exec"): 1, ("container", "top"): 1, ("service", "create"): 1}


@dataclass(frozen=True)
class Given:
    """flags: as spelt, each with its value; None for one without. arguments: all other words, in their order."""

    flags: tuple[tuple[str, str | None], ...] = ()
    arguments: tuple[str, ...] = ()

    def value(self, *spellings: str) -> str | None:
        """The last value of a flag; None where it is not given."""
        return next((value for flag, value in reversed(self.flags) if flag in spellings), None)

    def values(self, *spellings: str) -> list[str]:
        """All values of a flag."""
        return [value for flag, value in self.flags if flag in spellings and value is not None]

    def has(self, *spellings: str) -> bool:
        """Whether a flag is given."""
        return any(flag in spellings for flag, _ in self.flags)

    def without(self, *spellings: str) -> Given:
        """Without some flags."""
        return replace(self, flags=tuple(pair for pair in self.flags if pair[0] not in spellings))

    @property
    def words(self) -> list[str]:
        """As words again."""
        return [*flag_words(self.flags), *(["--"] if any(a.startswith("-") for a in self.arguments[:1]) else []), *self.arguments]


def flag_words(flags: Sequence[tuple[str, str | None]]) -> list[str]:
    """Flags as the words of a line: `-p 80`, `--rm`, `--wait=5000`."""
    words = []
    for flag, value in flags:
        if value is None:
            words.append(flag)
        elif flag.startswith("--") and flag not in _ALL_VALUED:
            words.append(f"{flag}={value}")
        else:
            words += [flag, value]
    return words


_ALL_VALUED: Final = frozenset().union(*VALUED.values())


def read(magic: str, verb: str, words: Sequence[str]) -> Given:
    """The words after the verb, sorted."""
    valued = VALUED.get((magic, verb), frozenset())
    most = _REST_AFTER.get((magic, verb), len(words))
    flags: list[tuple[str, str | None]] = []
    arguments: list[str] = []
    waiting = list(words)
    while waiting and len(arguments) < most:
        word = waiting.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            taken = value if equals else waiting.pop(0) if flag in valued and waiting else None
            flags.append((flag, taken))
        elif word.startswith("-") and word != "-":
            flags += _short(word, waiting, valued)
        else:
            arguments.append(word)
    return Given(tuple(flags), (*arguments, *waiting))


def _short(word: str, waiting: list[str], valued: frozenset[str]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for place, letter in enumerate(word[1:], start=2):
        flag, value = f"-{letter}", word[place:]
        if flag not in valued:
            found.append((flag, None))
            continue
        found.append((flag, value.removeprefix("=") if value else waiting.pop(0) if waiting else None))
        break
    return found
