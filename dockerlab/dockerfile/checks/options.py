"""Which rules count: the directive `# check=…`, or the build argument BUILDKIT_DOCKERFILE_CHECK, which takes its place.

    # check=skip=JSONArgsRecommended,StageNameCasing;error=true
    # check=skip=all        # check=experimental=all

skip: rules that are not asked, `all` for all but the experimental; it takes dockerlab's own rules, too. error: whether a build fails
of what is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dockerlab.dockerfile.checks.finding import Rule
from dockerlab.dockerfile.parser import Dockerfile
from dockerlab.dockerfile.words import SPACE, quoted
from dockerlab.errors import DockerfileError

ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"

_ALL: Final = "all"
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_HINT: Final = "Such as: # check=skip=StageNameCasing;error=true"


@dataclass(frozen=True, slots=True)
class Options:
    """skip, experimental: names of rules, or `all`. is_error: whether what is found is an error."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    def asks(self, rule: Rule) -> bool:
        """Whether a rule counts."""
        if rule.is_experimental:
            return not self.experimental.isdisjoint((_ALL, rule.name))
        return self.skip.isdisjoint((_ALL, rule.name))


def options(dockerfile: Dockerfile, build_args: Mapping[str, str | None] | None = None) -> Options:
    """Those of a build. Raises DockerfileError for a text that is none, in BuildKit's words."""
    given = (build_args or {}).get(ARGUMENT)
    return parse(given if given is not None else dockerfile.directives.get("check", ""))


def parse(text: str) -> Options:
    """See above. Raises DockerfileError."""
    found: dict[str, frozenset[str]] = {}
    is_error = False
    parts = text.strip(SPACE).split(";", 2) if text.strip(SPACE) else ()
    for part in parts:
        name, mark, value = part.partition("=")
        name, value = name.strip(SPACE), value.strip(SPACE)
        if not mark:
            raise _refused(f"invalid check option {quoted(part)}")
        if name in ("skip", "experimental"):
            # Among others, `all` is a name like any other, and no rule has it.
            found[name] = frozenset((_ALL,) if value == _ALL else {rule.strip(SPACE) for rule in value.split(",")} - {_ALL})
        elif name == "error":
            if value not in (*_TRUE, *_FALSE):
                reason = f"strconv.ParseBool: parsing {quoted(value)}: invalid syntax"
                raise _refused(f"failed to parse check option {quoted(part)}: {reason}")
            is_error = value in _TRUE
        else:
            raise _refused(f"invalid check option {quoted(name)}")
    return Options(found.get("skip", frozenset()), found.get("experimental", frozenset()), is_error)


def _refused(text: str) -> DockerfileError:
    return DockerfileError(f"failed to parse check options: {text}", hint=_HINT)
