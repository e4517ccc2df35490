"""What a build says of its Dockerfile beside the builder's linter: dockerlab's rules; and BuildKit's, of which a classic builder has none.

linting.further(dockerfile, args, said, has_linter=True)      warnings that are not among those that were `said`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dockerlab.dockerfile import Dockerfile
from dockerlab.dockerfile.checks import Checks, Finding
from dockerlab.dockerfile.program import program
from dockerlab.errors import DockerfileError
from dockerlab.wire.trace import Lint

_MOST: Final = 100


def further(dockerfile: Dockerfile, args: Mapping[str, str | None], said: Sequence[Lint], *, has_linter: bool) -> tuple[Lint, ...]:
    """In the order of lines, the same said once; what is a hint only is left to `dockerlab.check`.

    Nothing where our parser does not understand what the engine does.
    """
    try:
        read = program(dockerfile)
        checks = Checks(read, build_args=args)
        plan = read.plan("", args, with_all=True)
        found = [*checks.own(plan), *(() if has_linter else (*checks.form(), *checks.effect(plan)))]
    except DockerfileError:
        return ()
    there = {(lint.text.partition(":")[0], lint.lines[:1]) for lint in said}
    new: dict[tuple[str, str], Lint] = {}
    for finding in sorted(found, key=lambda finding: finding.line or 0):
        if finding.kind in ("error", "warning") and (finding.rule, finding.lines[:1]) not in there:
            new.setdefault((finding.rule, finding.reason), _lint(finding))
    return tuple(new.values())[:_MOST]


def _lint(finding: Finding) -> Lint:
    """As BuildKit words it."""
    place = f" (line {finding.line})" if finding.line else ""
    return Lint(
        "", f"{finding.rule}: {finding.reason}{place}", (finding.detail,) * bool(finding.detail), finding.url, finding.lines
    )
