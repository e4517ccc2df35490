"""What a check finds, and the rules that it can find broken.

    BUILDKIT["StageNameCasing"].finding("Stage name 'A' should be lowercase", (1,))
    Finding(rule="StageNameCasing", kind="warning", reason="Stage name 'A' …", lines=(1,), url="https://…", source="buildkit")

Names, descriptions and addresses of BuildKit's rules are its own (frontend/dockerfile/linter/ruleset.go), so that our engine says
what Docker's says. InvalidBaseImagePlatform is not among them: what it warns of, our engine refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["error", "warning", "info", "style"]
Source = Literal["buildkit", "dockerlab", "hadolint"]

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Finding:
    """rule: its name. reason: what is wrong, in a sentence. lines: 1-based, all of the instruction's. url: where it is explained, or ''.

    detail: what the rule wants in general, or ''. source: whose rule it is.
    """

    rule: str
    kind: Kind
    reason: str
    lines: tuple[int, ...]
    url: str = ""
    detail: str = ""
    source: Source = "dockerlab"

    @property
    def line(self) -> int | None:
        """The first line."""
        return self.lines[0] if self.lines else None


@dataclass(frozen=True, slots=True)
class Rule:
    """description: what it wants. is_experimental: whether it has to be asked for."""

    name: str
    description: str
    url: str
    source: Source
    kind: Kind = "warning"
    is_experimental: bool = False

    def finding(self, reason: str, lines: tuple[int, ...]) -> Finding:
        """That it is broken."""
        return Finding(self.name, self.kind, reason, lines, self.url, self.description, self.source)


def _buildkit(name: str, description: str, *, is_experimental: bool = False) -> tuple[str, Rule]:
    url = f"https://docs.docker.com/go/dockerfile/rule/{_WORDS.sub('-', name).lower()}/"
    return name, Rule(name, description, url, "buildkit", is_experimental=is_experimental)


BUILDKIT: Final = dict(
    (
        _buildkit("StageNameCasing", "Stage names should be lowercase"),
        _buildkit("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword"),
        _buildkit("NoEmptyContinuation", "Empty continuation lines will become errors in a future release"),
        _buildkit(
            "ConsistentInstructionCasing",
            "All commands within the Dockerfile should use the same casing (either upper or lower)",
        ),
        _buildkit("DuplicateStageName", "Stage names should be unique"),
        _buildkit("ReservedStageName", "Reserved words should not be used as stage names"),
        _buildkit(
            "JSONArgsRecommended",
            "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        ),
        _buildkit(
            "MaintainerDeprecated",
            "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        ),
        _buildkit("UndefinedArgInFrom", "FROM command must use declared ARGs"),
        _buildkit(
            "WorkdirRelativePath",
            "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image "
            "changes",
        ),
        _buildkit("UndefinedVar", "Variables should be defined before their use"),
        _buildkit(
            "MultipleInstructionsDisallowed",
            "Multiple instructions of the same type should not be used in the same stage",
        ),
        _buildkit("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used"),
        _buildkit(
            "RedundantTargetPlatform",
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        ),
        _buildkit("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands"),
        _buildkit(
            "InvalidDefaultArgInFrom",
            "Default value for global ARG results in an empty or invalid base image name",
        ),
        _buildkit("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value"),
        _buildkit("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", is_experimental=True),
        _buildkit(
            "InvalidDefinitionDescription",
            "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not "
            "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
            is_experimental=True,
        ),
        _buildkit("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase"),
        _buildkit(
            "ExposeInvalidFormat",
            "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
        ),
    )
)
