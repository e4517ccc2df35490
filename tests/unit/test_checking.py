"""`dockerlab.check`, its faces, `%%dockerfile --check`, and what is taken of `hadolint`. No engine.

A script stands for that program, 55 MB, which the tests do not install: its answer is one that version 2.15.1 gave.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import dockerlab
from dockerlab.builds import hadolint
from dockerlab.dockerfile.checks import Finding
from dockerlab.errors import ContextError, DockerfileError, NoEngine
from dockerlab.faces import markup
from dockerlab.faces.checks import Findings
from dockerlab.testing.sanitiser import sanitise
from dockerlab.testing.shell import Shell

BAD = "FROM debian:12 AS Base\nENV TOKEN=<b>x</b>\nFROM scratch\nCMD x\n"


@pytest.fixture(autouse=True)
def no_hadolint_and_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that PATH leads to, and nowhere else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    return folder


def test_a_tuple_of_findings_in_the_order_of_lines() -> None:
    found = dockerlab.check(BAD)
    assert isinstance(found, tuple)
    assert [(one.line, one.rule, one.source) for one in found] == [
        (1, "StageNameCasing", "buildkit"),
        (1, "UnusedStage", "dockerlab"),
        (2, "SecretsUsedInArgOrEnv", "buildkit"),
        (4, "JSONArgsRecommended", "buildkit"),
    ]
    assert dockerlab.check("FROM scratch\n") == ()
    assert dockerlab.check(BAD, build_arg=["BUILDKIT_DOCKERFILE_CHECK=skip=all"]) == ()


def test_a_file_and_what_its_context_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("# check=experimental=all\nFROM scratch\nCOPY a /\n")
    assert dockerlab.check(path) == ()
    (tmp_path / ".dockerignore").write_text("a\n")
    assert [one.rule for one in dockerlab.check(path, context=tmp_path)] == ["CopyIgnoredFile"]
    assert [one.rule for one in dockerlab.check(path, files={".dockerignore": "*"})] == ["CopyIgnoredFile"]
    with pytest.raises(ContextError, match="cannot read the Dockerfile"):
        dockerlab.check(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\nRUM x\n", "dockerfile parse error on line 2: unknown instruction: RUM"),
        ("FROM scratch\nCOPY --from=5 / /\n", "invalid stage index 5"),
        ("# check=x\nFROM scratch\n", 'failed to parse check options: invalid check option "x"'),
        ("", "the Dockerfile is empty: it has no instruction"),
    ],
)
def test_what_cannot_be_built_is_an_error(text: str, said: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        dockerlab.check(text)
    assert raised.value.message == said


def test_the_faces() -> None:
    found = dockerlab.check(BAD)
    assert repr(found).splitlines()[:4] == [
        "Dockerfile: 3 warnings, 1 note",
        "line 1  ⚠ StageNameCasing        Stage name 'Base' should be lowercase",
        "                                 https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
        "line 1  · UnusedStage            No FROM, COPY --from or mount that the last stage needs uses this stage: it is built with "
        "--target base alone",
    ]
    page = found._repr_html_()
    assert '<a href="https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"' in page
    assert "<code>ENV TOKEN=&lt;b&gt;x&lt;/b&gt;</code>" in page
    assert '<span class="running">⚠ warning</span>' in page
    assert repr(dockerlab.check("FROM scratch\n")) == "Dockerfile: nothing to say against it"
    assert "<table>" not in dockerlab.check("FROM scratch\n")._repr_html_()


def test_a_hostile_dockerfile_and_linter_are_shown_and_never_run() -> None:
    bad = Finding("<i>DL1</i>", "error", "<script>\x1b[31m", (1,), "javascript:alert(1)", "<b>", "hadolint")
    page = Findings([bad], ["FROM <script>alert(1)</script>\x1b]0;x\x07"])._repr_html_()
    assert "<script" not in page
    assert "<i>" not in page
    assert "href" not in page
    assert "\x1b" not in page + str(Findings([bad]))


def test_the_magic(tmp_path: Path) -> None:
    with Shell() as shell:
        result = shell.run(f"%%dockerfile --check -t unused\n{BAD}")
        assert result.value == dockerlab.check(BAD)
        assert result.displays[-1]["text/plain"] == repr(result.value)
        assert "StageNameCasing" in result.displays[-1]["text/html"]
        with pytest.raises(DockerfileError, match="unknown instruction: RUM"):
            shell.run("%%dockerfile --check\nRUM x\n")
        shell.run("%%context .dockerignore\na")
        assert [
            one.rule for one in shell.run("%%dockerfile --check\n# check=experimental=all\nFROM scratch\nCOPY a /\n").value
        ] == ["CopyIgnoredFile"]
        (tmp_path / "Dockerfile").write_text("FROM debian\n")
        assert [one.rule for one in shell.run(f"%dockerfile --check {tmp_path}").value] == ["BaseNotPinned"]
        with pytest.raises(NoEngine):
            shell.run("%%dockerfile\nFROM scratch\n")


def linter(folder: Path, script: str) -> None:
    """Puts a program of that name into PATH."""
    program = folder / "hadolint"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


ANSWER = [
    {"code": "DL3006", "column": 1, "file": "-", "level": "warning", "line": 2, "message": "Always tag"},
    {"code": "SC2086", "column": 1, "file": "-", "level": "info", "line": 1, "message": "Double quote"},
    {"code": "DL1000", "column": 1, "file": "-", "level": "error", "line": 0, "message": "unexpected 'R'\nexpecting"},
    {"code": "DL../x", "level": "style", "line": 4, "message": "odd"},
]


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the program")
def test_hadolint_is_asked_where_it_is(no_hadolint_and_no_engine: Path, tmp_path: Path) -> None:
    linter(
        no_hadolint_and_no_engine,
        f"/bin/cat > {tmp_path}/seen; echo \"$@\" > {tmp_path}/args; /bin/cat <<'E'\n{json.dumps(ANSWER)}\nE",
    )
    found = dockerlab.check(BAD)
    assert (tmp_path / "seen").read_text() == BAD
    assert (tmp_path / "args").read_text() == "--no-fail --no-color --format json -\n"
    theirs = [one for one in found if one.source == "hadolint"]
    assert [(one.line, one.rule, one.kind, one.url) for one in theirs] == [
        (None, "DL1000", "error", "https://github.com/hadolint/hadolint/wiki/DL1000"),
        (1, "SC2086", "info", "https://www.shellcheck.net/wiki/SC2086"),
        (2, "DL3006", "warning", "https://github.com/hadolint/hadolint/wiki/DL3006"),
        (4, "DL../x", "style", ""),
    ]
    assert [one.line or 0 for one in found] == sorted(one.line or 0 for one in found)
    # Whether it is installed does not show in what a notebook is compared by.
    linter(no_hadolint_and_no_engine, "echo '[]'")
    without = dockerlab.check(BAD)
    assert repr(found) == repr(without)
    assert "DL3006" in str(found)
    assert sanitise(found._repr_html_()) == sanitise(without._repr_html_())
    assert "4 of hadolint" in found._repr_html_()


@pytest.mark.skipif(os.name == "nt", reason="a script stands for the program")
@pytest.mark.parametrize("script", ["exit 3", "echo no JSON", "echo '{}'", "echo '[1, null, {}]'", "kill -9 $$"])
def test_a_hadolint_that_fails_says_nothing(no_hadolint_and_no_engine: Path, script: str) -> None:
    linter(no_hadolint_and_no_engine, script)
    assert len(dockerlab.check(BAD)) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'[{"line": true, "code": "A", "message": "b", "level": "error"}]',
        b'[{"line": 1, "code": "A", "message": "b", "level": []}]',
    ],
)
def test_an_answer_that_is_none(data: bytes) -> None:
    assert hadolint.parsed(data) == ()


def test_rows_that_may_be_there_or_not_are_marked_and_so_are_their_places() -> None:
    with_more = markup.table(("a",), [("1",), ("3",)], loose={0: [("2",)]})
    assert re.sub("<[^>]*>", "", with_more) == "a123"
    assert sanitise(with_more) == sanitise(markup.table(("a",), [("1",), ("3",)], loose={-1: [("0",)]}))
    assert sanitise(with_more) != sanitise(markup.table(("a",), [("1",), ("2",), ("3",)], loose={}))
