"""dockerlab's own rules: each with Dockerfiles that break it, and others that look alike and do not."""

from __future__ import annotations

import pytest

from dockerlab.dockerfile import parse
from dockerlab.dockerfile.checks import Checks, Finding
from dockerlab.dockerfile.checks.own import RULES
from dockerlab.dockerfile.program import program

TOP = "FROM debian:12\n"


def own(text: str) -> list[Finding]:
    read = program(parse(text))
    return [*Checks(read).own(read.plan("", with_all=True))]


CASES: dict[str, tuple[list[tuple[str, tuple[int, ...]]], list[str]]] = {
    "UnusedStage": (
        [("FROM scratch AS a\nFROM scratch\nFROM scratch AS b\nFROM b\n", (1, 2))],
        ["FROM scratch AS a\nFROM scratch AS b\nFROM scratch\nCOPY --from=a / /\nCOPY --from=1 / /\n", "FROM scratch AS a\nFROM a\n"],
    ),
    "CacheBustingOrder": (
        [
            (f"{TOP}COPY . /app\nRUN pip install -r /app/requirements.txt\n", (2,)),
            (f"{TOP}WORKDIR /app\nADD ./ .\nRUN cd app && python3 -m pip --quiet install flask\n", (3,)),
            (f"{TOP}COPY . .\nRUN npm ci\nRUN npm run build\n", (2,)),
            (f"{TOP}COPY . .\nRUN <<EOF\napt-get update\napt-get install -y curl\nrm -rf /var/lib/apt/lists/*\nEOF\n", (2,)),
        ],
        [
            f"{TOP}COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\nRUN make\n",
            f"{TOP}COPY . .\nRUN pip install --no-deps .\n",
            f"{TOP}COPY . .\nRUN pip install -e .[dev]\n",
            "FROM debian:12 AS a\nFROM debian:12\nCOPY --from=a . .\nRUN npm ci\n",
            f"{TOP}COPY . .\nRUN npm install-test && ./pip-install.sh\n",
        ],
    ),
    "AptUpdateAlone": (
        [(f"{TOP}RUN apt-get update\n", (2,)), (f"{TOP}RUN apt-get -qq \\\n  update && true\n", (2, 3))],
        [
            f"{TOP}RUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\n",
            f"{TOP}RUN apt-get update && apt-get -y upgrade\n",
            f"{TOP}RUN echo apt-get\n",
        ],
    ),
    "PackageListsLeft": (
        [(f"{TOP}RUN apt update && apt install -y x\n", (2,))],
        [
            f"{TOP}RUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\n",
            f"{TOP}RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y x\n",
            f"{TOP}RUN apt-get install -y x\n",
        ],
    ),
    "BaseNotPinned": (
        [("FROM debian\n", (1,)), ("ARG B=r.example/a/b:latest\nFROM --platform=$BUILDPLATFORM $B AS x\n", (2,))],
        [TOP, f"FROM debian@sha256:{'0' * 64}\n", "FROM scratch AS debian\nFROM debian\n", "ARG V=3\nFROM python:$V\n"],
    ),
    "AddForCopy": (
        [(f"{TOP}ADD app.py lib/ /app/\n", (2,))],
        [
            f"{TOP}ADD rootfs.tar.xz /\n",
            f"{TOP}ADD https://example.org/x /x\n",
            f"{TOP}ADD git@example.org:a/b.git /x\n",
            f"{TOP}ADD *.gz /x\n",
            f"{TOP}ADD $FILE /x\n",
            f"{TOP}ADD --unpack=true a /x\n",
            f"{TOP}COPY a /x\n",
        ],
    ),
    "SecretFileCopied": (
        [(f"{TOP}COPY .env config/.npmrc /app/\n", (2,)), (f"{TOP}ADD keys/id_rsa /k\n", (2,)), (f"{TOP}COPY .aws/ /root/\n", (2,))],
        [
            f"{TOP}COPY .env.example id_rsa.pub ca.pem env.py keyboard.py /app/\n",
            "FROM debian:12 AS a\nFROM debian:12\nCOPY --from=a /x/server.key /y\n",
        ],
    ),
}  # fmt: skip


def test_every_rule_has_its_cases() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize(("rule", "text", "lines"), [(rule, *one) for rule, (bad, _) in CASES.items() for one in bad])
def test_what_breaks_a_rule(rule: str, text: str, lines: tuple[int, ...]) -> None:
    found = [finding for finding in own(text) if finding.rule == rule]
    assert found
    places = tuple(dict.fromkeys(line for finding in found for line in finding.lines))
    assert places == lines
    assert all(finding.source == "dockerlab" and finding.url.startswith("https://docs.docker.com/build/") for finding in found)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, (_, good) in CASES.items() for text in good])
def test_what_does_not(rule: str, text: str) -> None:
    assert rule not in {finding.rule for finding in own(text)}


def test_the_line_that_is_to_move_and_where_to() -> None:
    text = f"{TOP}COPY . .\nRUN pip install -r req.txt \\\n  && true\nRUN npm ci\n"
    [finding] = own(text)
    assert finding.reason == (
        "'pip install' (line 3) and 'npm ci' (line 5) after COPY of everything run again whenever any file changes: move this line below "
        "line 5, and copy req.txt and package.json and package-lock.json alone before that"
    )


def test_own_rules_are_left_out_like_others() -> None:
    assert own("# check=skip=BaseNotPinned\nFROM debian\n") == []
    assert own("# check=skip=all\nFROM debian\n") == []
