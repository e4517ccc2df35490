"""What BuildKit's rules say of a Dockerfile, told as warnings of its build; and builds that fail of it (`# check=error=true`).

    checking = Checking(trace, program, request, store, vertex)
    checking.form()                     before it is planned
    checking.effect(plan, …, bring)     before the first step, if all images are here that stages stand on: what they hold matters
    checking.rest()                     else when they have been brought, or could not be

A build that may fail of it has the images brought first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from dockerlab.dockerfile.checks import Base, Checks, Finding
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.dockerfile.planning import Plan
from dockerlab.engine.store.documents import architecture
from dockerlab.errors import ContextError, DockerlabError, UsageError
from dockerlab.wire.trace import Lint

if TYPE_CHECKING:
    from dockerlab.dockerfile.program import Program
    from dockerlab.engine.building.request import BuildRequest
    from dockerlab.engine.building.tracing import Trace
    from dockerlab.engine.store import Image, Store


class Checking:
    """Of one build. vertex: what the warnings are told of. ignore: the text of the build context's `.dockerignore`.

    Raises DockerfileError for check options that are none.
    """

    def __init__(self, trace: Trace, program: Program, request: BuildRequest, store: Store, vertex: str, ignore: str = "") -> None:
        platform = f"linux/{architecture()}"
        self._checks = Checks(program, target=request.target, build_args=request.args, build_platform=platform)
        self._trace, self._store, self._vertex = trace, store, vertex
        self._ignore: Ignore | None = None
        with suppress(ContextError):  # who sends the context says what is wrong with it
            self._ignore = Ignore(ignore)
        self._always_pull = request.pull
        self._said: list[Finding] = []
        self._waiting: Callable[[], Plan] | None = None

    def form(self) -> None:
        """What is to be said of what is written."""
        self._tell(self._checks.form())

    def effect(self, plan: Plan, plan_again: Callable[[], Plan], bring: Callable[[str], object]) -> None:
        """What is to be said of what the stages do, if all images are here. plan_again: with those that have been brought since.

        bring: an image by its name. Raises UsageError if the build is to fail of what is said, and what `bring` and `plan_again` raise.
        """
        missing = [name for name in _bases(plan) if self._always_pull or self._found(name) is None]
        if missing and not self._checks.options.is_error:
            self._waiting = plan_again
            return
        for name in missing:
            bring(name)
        self._effect(plan_again() if missing else plan)
        if error := self._checks.refused(self._said):
            raise UsageError(error.message)

    def rest(self) -> None:
        """What could not be said before."""
        if self._waiting:
            with suppress(DockerlabError):  # the build has said it
                self._effect(self._waiting())
            self._waiting = None

    def _effect(self, plan: Plan) -> None:
        self._tell(self._checks.effect(plan, self._base, self._ignore))

    def _base(self, name: str) -> Base | None:
        image = self._found(name)
        if image is None:
            return None
        return Base(dict(item.partition("=")[::2] for item in image.run.get("Env") or ()), bool(image.run.get("Shell")))

    def _found(self, name: str) -> Image | None:
        with suppress(DockerlabError):
            return self._store.get(name)
        return None

    def _tell(self, findings: Iterable[Finding]) -> None:
        found = [*findings]
        self._said += found
        self._trace.tell(lint(finding, self._vertex) for finding in found)


def lint(finding: Finding, vertex: str) -> Lint:
    """A finding as BuildKit tells it."""
    text = f"{finding.rule}: {finding.reason}" + (f" (line {finding.line})" if finding.line else "")
    return Lint(vertex, text, (finding.detail,), finding.url, finding.lines)


def _bases(plan: Plan) -> list[str]:
    """The images that stages stand on."""
    return [*dict.fromkeys(one.base for one in plan.stages if one.base_stage is None and not one.is_scratch)]
