"""`dockerlab.check()`: what is to be said of a Dockerfile before it is built. Without an engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from dockerlab.builds import hadolint, pairs_of, text_of
from dockerlab.builds.context import Context
from dockerlab.dockerfile import Ignore, parse
from dockerlab.dockerfile.checks import Checks
from dockerlab.dockerfile.program import program
from dockerlab.faces.checks import Findings


def check(
    dockerfile: str | os.PathLike[str],
    *,
    context: str | os.PathLike[str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    build_arg: Mapping[str, str | None] | Iterable[str] = (),
) -> Findings:
    """What BuildKit's rules, dockerlab's own and, where it is installed, `hadolint` say of a Dockerfile, in the order of its lines.

    dockerfile: its text; or a path object, to a file on disk. context, files: where the `.dockerignore` is that counts, as of `build`.
    build_arg: as of `build`; BUILDKIT_DOCKERFILE_CHECK takes the place of the Dockerfile's `# check=…`.

    Nothing is built, and no engine is asked: what base images hold is not known. All stages count.

    Returns a tuple of `Finding` (rule, kind, reason, lines, url, source), which shows itself. `# check=skip=RULE` leaves rules out.

    Raises DockerfileError for a Dockerfile that cannot be built, ContextError for a file that cannot be read.
    """
    text = text_of(dockerfile)
    read = program(parse(text))
    arguments = pairs_of("--build-arg", build_arg, from_environment=True)
    checks = Checks(read, build_args=arguments)
    plan = read.plan("", arguments, with_all=True)
    ignore = Ignore(Context.of(context, files).ignore_text)
    found = [*checks.form(), *checks.effect(plan, ignore=ignore), *checks.own(plan), *hadolint.findings(text)]
    return Findings(sorted(found, key=lambda finding: finding.line or 0), read.dockerfile.source)
