"""Dockerfiles for the checks, shared by the tests of the rules and of the engines that warn of them.

RULES: a rule of BuildKit → a Dockerfile that breaks it with the lines that are said, and one that does not. MORE: odd ones, by what is odd.
What is expected is what Docker Engine 28.5.2 says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """said: each warning as "line Rule", by lines. ignore: the `.dockerignore`."""

    dockerfile: str
    said: tuple[str, ...]
    build_arg: Mapping[str, str] = field(default_factory=dict)
    ignore: str = ""


EXPERIMENTAL = "# check=experimental=all\n"

RULES: dict[str, tuple[Case, str]] = {
    "StageNameCasing": (Case("FROM scratch AS Base\n", ("1 StageNameCasing",)), "FROM scratch AS base\n"),
    "FromAsCasing": (Case("FROM scratch as base\n", ("1 FromAsCasing",)), "from scratch as base\n"),
    "NoEmptyContinuation": (
        Case("FROM scratch\nENV A=1 \\\n\n  # a comment is none\n  B=2\n", ("5 NoEmptyContinuation",)),
        "FROM scratch\nENV A=1 \\\n  # a comment is none\n  B=2\nCOPY <<EOF /x\n\n\nEOF\n",
    ),
    "ConsistentInstructionCasing": (
        Case("FROM scratch\nenv a=1\nEnv b=2\n", ("2 ConsistentInstructionCasing", "3 ConsistentInstructionCasing")),
        "ARG X\nfrom scratch\nenv a=1\n",
    ),
    "DuplicateStageName": (
        Case("FROM scratch AS a\nFROM scratch AS A\n", ("2 DuplicateStageName", "2 StageNameCasing")),
        "FROM scratch AS a\nFROM scratch\nFROM scratch\n",
    ),
    "ReservedStageName": (Case("FROM scratch AS context\n", ("1 ReservedStageName",)), "FROM scratch AS contexts\n"),
    "JSONArgsRecommended": (
        Case(
            "FROM scratch\nENTRYPOINT a\ncmd b \\\n c\nCMD\n",
            (
                "2 JSONArgsRecommended",
                "3 ConsistentInstructionCasing",
                "3 JSONArgsRecommended",
                "3 MultipleInstructionsDisallowed",
                "5 JSONArgsRecommended",
            ),
        ),
        'FROM scratch\nENTRYPOINT ["a"]\nSHELL ["x"]\nCMD b\n',
    ),
    "MaintainerDeprecated": (Case("FROM scratch\nMAINTAINER me\n", ("2 MaintainerDeprecated",)), "FROM scratch\nLABEL me=me\n"),
    "UndefinedArgInFrom": (
        Case("ARG BASE=scratch\nFROM scratch$BSE AS x\n", ("2 UndefinedArgInFrom",)),
        "ARG BASE=scratch\nARG MORE\nFROM --platform=$BUILDPLATFORM $BASE$MORE\n",
    ),
    "UndefinedVar": (
        Case(
            "ARG GLOBAL=1\nFROM scratch\nENV a=$PTH b=$x$x c=$x\nARG x=$GLOBAL\nCOPY <<A <<'B' /x\n$y ${z:-1}\nA\n$q\nB\nEXPOSE 80$w\n",
            ("3 UndefinedVar",) * 3 + ("4 UndefinedVar",) + ("5 UndefinedVar",) * 2,
        ),
        "ARG GLOBAL=1\nFROM scratch AS a\nARG GLOBAL x\nENV b=$GLOBAL$PATH c=$x d='$no'\nFROM a\nENV e=$b$x f=\\$g\n",
    ),
    "WorkdirRelativePath": (
        Case('FROM scratch AS a\nWORKDIR "x"\nWORKDIR y\nFROM a\nWORKDIR z\n', ("2 WorkdirRelativePath",)),
        "FROM scratch\nARG x=/a\nWORKDIR $x\nWORKDIR b\n",
    ),
    "MultipleInstructionsDisallowed": (
        Case("FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK NONE\n", ("2 MultipleInstructionsDisallowed",)),
        'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]\n',
    ),
    "LegacyKeyValueFormat": (
        Case(
            "FROM scratch\nENV a b c\nlabel a b\nCOPY <<E /\nE\n",
            (
                "2 LegacyKeyValueFormat",
                "3 ConsistentInstructionCasing",
                "3 LegacyKeyValueFormat",
            ),
        ),
        'FROM scratch\nENV a="b c" d=e\n',
    ),
    "RedundantTargetPlatform": (
        Case("FROM --platform=$TARGETPLATFORM scratch\n", ("1 RedundantTargetPlatform",)),
        "FROM --platform=$BUILDPLATFORM scratch\n",
    ),
    "SecretsUsedInArgOrEnv": (
        Case(
            "FROM scratch\nARG TOKEN my_Key_1=2\nENV API_KEY=1 tokens=2 public_key=3\n",
            ("2 SecretsUsedInArgOrEnv",) * 2 + ("3 SecretsUsedInArgOrEnv",),
        ),
        "ARG TOKEN\nFROM scratch\nENV monkey=1\n",
    ),
    "InvalidDefaultArgInFrom": (
        Case("ARG V\nFROM scratch$V:$V AS x\nFROM scratch\n", ("2 InvalidDefaultArgInFrom",)),
        "ARG V=x W\nFROM ${W:-scratch} AS y\nFROM busybox:$V AS z\nFROM scratch\n",
    ),
    "FromPlatformFlagConstDisallowed": (
        Case("FROM --platform=arm64 scratch AS x\nFROM scratch\n", ("1 FromPlatformFlagConstDisallowed",)),
        "FROM --platform=aarch64 scratch AS x-arm64\nFROM --platform=linux/arm/v7 scratch AS linux\nFROM scratch\n",
    ),
    "CopyIgnoredFile": (
        Case(
            EXPERIMENTAL + "FROM scratch\nCOPY . /a/\nADD *.x /b/\nCOPY ./a /b/\n",
            ("3 CopyIgnoredFile", "4 CopyIgnoredFile"),
            ignore="*\n",
        ),
        EXPERIMENTAL + "FROM scratch AS a\nFROM scratch\nCOPY --from=a / /\n",
    ),
    "InvalidDefinitionDescription": (
        Case(
            EXPERIMENTAL + "# x\nARG a\n# y\n\nARG b c=1\n# z\nFROM scratch AS d\n",
            tuple(f"{line} InvalidDefinitionDescription" for line in (3, 6, 8)),
        ),
        EXPERIMENTAL + "# a is it\nARG a\n# other\n#\nARG b\n# about c\nFROM scratch\n",
    ),
    "ExposeProtoCasing": (
        Case("FROM scratch\nEXPOSE 80/TCP 81/Udp\n", ("2 ExposeProtoCasing",) * 2),
        "FROM scratch\nEXPOSE 80/tcp 1-2\n",
    ),
    "ExposeInvalidFormat": (
        Case("FROM scratch\nARG p=1:1\nEXPOSE 127.0.0.1:80:80 $p\n", ("3 ExposeInvalidFormat",) * 2),
        "FROM scratch\nEXPOSE 80-81/udp\n",
    ),
}

MORE: dict[str, Case] = {
    "ONBUILD is said to be where FROM is": Case(
        "FROM scratch AS a\nONBUILD env k $v\nONBUILD CMD x\nFROM a\nCMD y\n",
        (
            "4 JSONArgsRecommended",
            "4 LegacyKeyValueFormat",
            "4 MultipleInstructionsDisallowed",
            "4 UndefinedVar",
            "5 JSONArgsRecommended",
        ),
    ),
    "stages that are not needed do nothing": Case("FROM scratch AS Lost\nENV a $b\nFROM scratch\n", ("1 StageNameCasing",)),
    "rules left out": Case(
        "# check=skip=FromAsCasing,StageNameCasing\nFROM scratch as A\nMAINTAINER x\n", ("3 MaintainerDeprecated",)
    ),
    "all left out": Case("# check=skip=all\nFROM scratch as A\nMAINTAINER x\n", ()),
    "the argument goes before the directive": Case(
        "# check=skip=all\nFROM scratch as a\nMAINTAINER x\n",
        ("2 FromAsCasing",),
        {"BUILDKIT_DOCKERFILE_CHECK": "skip=MaintainerDeprecated"},
    ),
    "an argument that is given is not undefined": Case(
        "ARG a\nFROM scratch\nARG a b=$c\nENV d=$a e=$b f=$c\n", ("3 UndefinedVar", "4 UndefinedVar"), {"a": "1", "c": "2"}
    ),
    "an escape character of its own": Case("# escape=`\nFROM scratch\nENV a=`$b c=$d `\n e=\\f\n", ("3 UndefinedVar",)),
    "what is ignored is taken back": Case(
        EXPERIMENTAL + "FROM scratch\nCOPY . /x/\nCOPY a /\n", ("3 CopyIgnoredFile",), ignore="*\n!a\n"
    ),
    "names that are near": Case("FROM scratch\nENV a=1 vw=2\nLABEL b=$k c=$vx d=$PATHS e=$NOTHING_NEAR\n", ("3 UndefinedVar",) * 4),
    "a flag of RUN": Case("FROM scratch AS x\nRUN --mount=type=cache,target=/$a true\nFROM scratch\n", ()),
}
