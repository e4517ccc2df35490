"""Dockerfiles, checked before they are built: BuildKit's rules in its words, and a few of dockerlab's own. Pure.

    checks = Checks(program(parse(text)))
    checks.form(), checks.effect(plan, base)         BuildKit's: what an engine sends as warnings of a build
    checks.own(plan)                                 dockerlab's
    checks.refused(findings)                         what a build with `# check=error=true` fails of

- `finding`: what is found, and BuildKit's rules; `options`: which of them count
- `form`: rules about what is written; `effect`: about what it does; `distance`: names that are near
- `own`: dockerlab's rules
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

from dockerlab.dockerfile.checks.effect import Base, Effect
from dockerlab.dockerfile.checks.finding import BUILDKIT, Finding, Kind
from dockerlab.dockerfile.checks.form import Form
from dockerlab.dockerfile.checks.options import ARGUMENT, Options, options
from dockerlab.dockerfile.checks.own import RULES, own
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.dockerfile.planning import Plan
from dockerlab.dockerfile.program import Program
from dockerlab.errors import DockerfileError

__all__ = ["ARGUMENT", "BUILDKIT", "Base", "Checks", "Finding", "Kind", "Options", "options"]

_MOST: Final = 1000


class Checks:
    """Of one Dockerfile, for one build. Raises DockerfileError for check options that are none.

    target: "" for the last stage. build_args: None is the same as not given. build_platform: of the machine that builds.
    """

    def __init__(
        self,
        program: Program,
        *,
        target: str = "",
        build_args: Mapping[str, str | None] | None = None,
        build_platform: str = "linux/amd64",
    ) -> None:
        self._program = program
        self._given = {name: value for name, value in (build_args or {}).items() if value is not None}
        self._start = program.start(target, self._given, build_platform)
        self.options = options(program.dockerfile, self._given)

    def form(self) -> tuple[Finding, ...]:
        """BuildKit's, about what is written."""
        return self._asked(Form(self._program, self._start, self._given).findings())

    def effect(
        self, plan: Plan, base: Callable[[str], Base | None] = lambda name: None, ignore: Ignore | None = None
    ) -> tuple[Finding, ...]:
        """BuildKit's, about what the stages of a plan do. base: what an image holds. ignore: the build context's `.dockerignore`."""
        return self._asked(Effect(self._program, plan, self._given, base, ignore).findings())

    def own(self, plan: Plan) -> tuple[Finding, ...]:
        """dockerlab's. plan: with all stages."""
        return self._asked(own(self._program, plan))

    def refused(self, findings: Iterable[Finding]) -> DockerfileError | None:
        """What a build fails of; None where it goes on. In BuildKit's words."""
        broken = sorted({finding.rule for finding in findings if finding.source == "buildkit"})
        if not (self.options.is_error and broken):
            return None
        hint = "The Dockerfile asks for it: # check=error=true. Mend what the warnings say, or leave rules out: # check=skip=…;error=true"
        return DockerfileError(f"lint violation found for rules: {', '.join(broken)}", hint=hint)

    def _asked(self, found: Iterable[Finding]) -> tuple[Finding, ...]:
        """Those of rules that count; not more than anybody reads."""
        return tuple(islice((finding for finding in found if self.options.asks(_RULES[finding.rule])), _MOST))


_RULES: Final = BUILDKIT | RULES
