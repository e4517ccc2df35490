"""Two builds held against each other: what each was, in a few words, and the reasons that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dockerlab.builds.changes import File, difference
from dockerlab.builds.contexts import Contexts
from dockerlab.builds.inputs import Stage, salted, stages
from dockerlab.builds.reasons import Inputs, Reason, reasons
from dockerlab.dockerfile import parse

FILE, LINK = 0o100644, 0o120777
PRUNED = "no input changed: the cache was pruned, or comes from elsewhere"
STAGES = "FROM busybox AS one\nRUN a\nFROM busybox AS two\nRUN b\nFROM two\nCOPY --from=one /a /a\nRUN c\n"

Cases = dict[str, tuple["Made", "Made", dict[int, str]]]  # before, now, and line → sentence


@dataclass(frozen=True)
class Made:
    """One build. ran: the lines that were worked on; the others are cached. states: where they are neither.

    contexts: named ones. named: their files, for those that the engine was told of.
    """

    text: str
    ran: str = ""
    args: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: Mapping[float, str] = field(default_factory=dict)
    on_build: tuple[str, ...] = ()
    platform: str = ""
    builder: str = "buildkit"
    contexts: tuple[str, ...] = ()
    named: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    anew: tuple[str, ...] = ()

    @property
    def inputs(self) -> Inputs:
        found = stages(
            parse(self.text),
            self.args,
            digest=salted("salt"),
            platform=self.platform,
            on_build=lambda base: self.on_build,
            contexts=Contexts.of(self.contexts),
        )
        return Inputs(self.builder, self.platform, tuple(map(self._worked, found)), self.images)

    def _worked(self, stage: Stage) -> Stage:
        states: dict[float, str] = {**dict.fromkeys(map(float, self.ran.split()), "done"), **self.states}
        # The n-th trigger of the FROM at line 1 is called 1.n.
        keys = [one.line + place / 10 if one.is_trigger else one.line for place, one in enumerate(stage.instructions)]
        done = (replace(one, state=states.get(key, "cached")) for key, one in zip(keys, stage.instructions, strict=True))
        return replace(stage, instructions=tuple(done))

    @property
    def told(self) -> dict[str, dict[str, File]]:
        return {
            name: {path: File(0, 0, 0, LINK if text.startswith("→") else FILE, text) for path, text in files.items()}
            for name, files in {"": self.files, **self.named}.items()
        }


def explained(before: Made | None, now: Made, *, no_cache: bool = False) -> tuple[Reason, ...]:
    changes = {name: difference(before.told[name], now.told[name]) for name in now.told if name in before.told} if before else {}
    return reasons(now.inputs, before.inputs if before else None, changes, name="app", no_cache=no_cache, anew=now.anew)
