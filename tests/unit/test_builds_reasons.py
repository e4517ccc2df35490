"""Why a step ran: two builds held against each other. A table of cases, with the lines that the engine worked on in the second build."""

from __future__ import annotations

import pytest

from dockerlab.builds.reasons import reasons
from tests.unit.reasoning import PRUNED, STAGES, Cases, Made, explained

BASE = "FROM busybox\nARG WHO=me\nCOPY src /src\nRUN make\nRUN test\n"

CASES: Cases = {
    "all cached": (Made(BASE), Made(BASE), {}),
    "the last instruction": (
        Made(BASE),
        Made(BASE.replace("test", "check"), "5"),
        {5: "the instruction changed"},
    ),
    "an instruction, and what follows it": (
        Made(BASE),
        Made(BASE.replace("make", "make all"), "4 5"),
        {4: "the instruction changed", 5: "because line 4 ran: RUN make all"},
    ),
    "a line that is put in makes nothing else another one": (
        Made(BASE),
        Made(BASE.replace("RUN make", "RUN configure\nRUN make"), "4 5 6"),
        {4: "the instruction is new", 5: "because line 4 ran: RUN configure", 6: "because line 5 ran: RUN make"},
    ),
    "a line that is put in beside one that changes": (
        Made("FROM b\nRUN pip install flask\nRUN x\n"),
        Made("FROM b\nRUN apt-get update\nRUN pip install flask==2\nRUN x\n", "2 3 4"),
        {2: "the instruction is new", 3: "the instruction changed", 4: "because line 3 ran: RUN pip install flask==2"},
    ),
    "a line that is gone": (
        Made(BASE),
        Made(BASE.replace("RUN make\n", ""), "4"),
        {4: "because 'RUN make', which stood before it, is gone"},
    ),
    "two lines that change places": (
        Made("FROM b\nRUN first thing\nRUN second thing\n"),
        Made("FROM b\nRUN second thing\nRUN first thing\n", "2 3"),
        {2: "the instruction is new", 3: "because line 2 ran: RUN second thing"},
    ),
    "comments and spaces are nothing": (
        Made("FROM b\nRUN a && \\\n  b\n"),
        Made("# why\nFROM b\nRUN a && \\\n  # because\n  b\n", "3"),
        {3: PRUNED},
    ),
    "an argument": (
        Made(BASE),
        Made(BASE, "4 5", {"WHO": "you"}),
        {4: "the value of WHO changed", 5: "the value of WHO changed"},
    ),
    "an argument's default": (
        Made(BASE),
        Made(BASE.replace("=me", "=you"), "4 5"),
        {4: "the value of WHO changed", 5: "the value of WHO changed"},
    ),
    "an argument that had no value": (
        Made("FROM b\nARG A\nRUN x\n"),
        Made("FROM b\nARG A\nRUN x\n", "3", {"A": "1"}),
        {3: "the value of A changed"},
    ),
    "an argument of FROM": (
        Made("ARG V=1\nFROM b:$V\nRUN x\n"),
        Made("ARG V=1\nFROM b:$V\nRUN x\n", "2 3", {"V": "2"}),
        {2: "the value of V changed", 3: "because FROM changed (line 2)"},
    ),
    "an argument in a path": (
        Made("FROM b\nARG P=a\nCOPY $P /\n"),
        Made("FROM b\nARG P=a\nCOPY $P /\n", "3", {"P": "b"}),
        {3: "the value of P changed"},
    ),
    "a variable that is declared after it does not count": (
        Made("FROM b\nRUN x\nARG A=1\nRUN y\n"),
        Made("FROM b\nRUN x\nARG A=1\nRUN y\n", "2 4", {"A": "2"}),
        {2: PRUNED, 4: "the value of A changed"},
    ),
    "a variable of the stage that it begins from": (
        Made("FROM b AS one\nENV A=1\nFROM one\nRUN x\n"),
        Made("FROM b AS one\nENV A=2\nFROM one\nRUN x\n", "4"),
        {4: "the value of A changed"},
    ),
    "a user": (
        Made("FROM b\nUSER a\nCOPY f /\nRUN x\n", files={"f": "1"}),
        Made("FROM b\nUSER c\nCOPY f /\nRUN x\n", "4", files={"f": "1"}),
        {4: "because line 2 changed: USER c"},
    ),
    "what only describes the image makes nothing run": (
        Made("FROM b\nEXPOSE 80\nRUN x\n"),
        Made("FROM b\nEXPOSE 80\nEXPOSE 81\nRUN x\n", "4"),
        {4: "because line 3 changed: EXPOSE 81"},
    ),
    "but for a classic builder": (
        Made("FROM b\nEXPOSE 80\nRUN x\n", builder="classic"),
        Made("FROM b\nEXPOSE 81\nRUN x\n", "2 3", builder="classic"),
        {2: "the instruction changed", 3: "because line 2 ran: EXPOSE 81"},
    ),
    "a file": (
        Made(BASE, files={"src/a": "1", "other": "1"}),
        Made(BASE, "3 4 5", files={"src/a": "2", "other": "2"}),
        {3: "1 file changed: src/a (modified)", 4: "because line 3 ran: COPY src /src", 5: "because line 4 ran: RUN make"},
    ),
    "many files": (
        Made(BASE, files={"src/gone": "1", "src/z": "1"}),
        Made(BASE, "3", files={"src/z": "2", **{f"src/{i}": "" for i in range(1000)}}),
        {3: "1,002 files changed: src/z (modified), src/0 (added), src/1 (added), and 999 more"},
    ),
    "a file that it does not take": (
        Made(BASE, files={"src/a": "1", "srcs": "1"}),
        Made(BASE, "3", files={"src/a": "1", "srcs": "2"}),
        {3: PRUNED},
    ),
    "files by a pattern, and those left out": (
        Made("FROM b\nCOPY --exclude=*.md *.* /\n", files={"a.md": "1", "b.py": "1", "d/c.py": "1"}),
        Made("FROM b\nCOPY --exclude=*.md *.* /\n", "2", files={"a.md": "2", "b.py": "2", "d/c.py": "2"}),
        {2: "1 file changed: b.py (modified)"},
    ),
    "files behind a link": (
        Made("FROM b\nCOPY current/a /\n", files={"current": "→v1", "v1/a": "1"}),
        Made("FROM b\nCOPY current/a /\n", "2", files={"current": "→v1", "v1/a": "2"}),
        {2: "1 file changed: v1/a (modified)"},
    ),
    "files that a RUN mounts": (
        Made("FROM b\nRUN --mount=type=bind,target=/x,source=src x\n", files={"src/a": "1"}),
        Made("FROM b\nRUN --mount=type=bind,target=/x,source=src x\n", "2", files={}),
        {2: "1 file changed: src/a (removed)"},
    ),
    "what a heredoc holds": (
        Made("FROM b\nCOPY <<EOF /x\none\nEOF\nRUN x\n"),
        Made("FROM b\nCOPY <<EOF /x\ntwo\nEOF\nRUN x\n", "2 5"),
        {2: "the instruction changed", 5: "because line 2 ran: COPY <<EOF /x two EOF"},
    ),
    "the base image": (
        Made(BASE, images={"busybox": ("sha256:" + "a" * 64,)}),
        Made(BASE, "3 4 5", images={"busybox": ("sha256:" + "b" * 64,)}),
        {
            1: "the base image busybox moved: aaaaaaaaaaaa → bbbbbbbbbbbb",
            3: "because the base image moved (line 1)",
            4: "because line 3 ran: COPY src /src",
            5: "because line 4 ran: RUN make",
        },
    ),
    "the base image, by another of its ids": (
        Made(BASE, images={"busybox": ("sha256:1", "sha256:2")}),
        Made(BASE, "3", images={"busybox": ("sha256:2",)}),
        {3: PRUNED},
    ),
    "an image that is copied from": (
        Made("FROM b\nCOPY --from=tools /a /a\n", images={"tools": ("sha256:1",)}),
        Made("FROM b\nCOPY --from=tools /a /a\n", "2", images={"tools": ("sha256:2",)}),
        {2: "the image tools moved: 1 → 2"},
    ),
    "the platform": (
        Made("FROM b\nRUN x\n"),
        Made("FROM b\nRUN x\n", "1 2", platform="linux/arm64"),
        {1: "the platform changed: the engine's own → linux/arm64", 2: "because FROM changed (line 1)"},
    ),
    "a stage that is copied from": (
        Made(STAGES),
        Made(STAGES.replace("RUN a", "RUN aa"), "2 6 7"),
        {2: "the instruction changed", 6: "because line 2 ran: RUN aa", 7: "because line 6 ran: COPY --from=one /a /a"},
    ),
    "the stage that it begins from": (
        Made(STAGES),
        Made(STAGES.replace("RUN b", "RUN bb"), "4 6 7"),
        {4: "the instruction changed", 6: "because line 4 ran: RUN bb", 7: "because line 6 ran: COPY --from=one /a /a"},
    ),
    "a stage that is put in front": (
        Made("FROM b\nRUN x\nRUN y\n"),
        Made("FROM c AS new\nRUN z\nFROM b\nRUN x\nCOPY --from=new /z /z\nRUN y\n", "1 2 5 6"),
        {
            1: "the instruction is new",
            2: "the instruction is new",
            5: "the instruction is new",
            6: "because line 5 ran: COPY --from=new /z /z",
        },
    ),
    "a stage that gets another name": (
        Made("FROM b AS one\nRUN x\nFROM c\nCOPY --from=one /x /\n"),
        Made("FROM b AS uno\nRUN x\nFROM c\nCOPY --from=uno /x /\n", "2 4"),
        {2: PRUNED, 4: "the instruction changed"},
    ),
    "a build before that failed": (
        Made(BASE, states={4: "failed", 5: "waiting"}),
        Made(BASE, "4 5"),
        {4: "it failed in the build before", 5: "because line 4 ran: RUN make"},
    ),
    "a build before that did not need it": (
        Made(STAGES, states={2: "waiting"}),
        Made(STAGES, "2"),
        {2: "the build before did not carry it out"},
    ),
    "a step that fails has a reason too": (
        Made(BASE),
        Made(BASE.replace("make", "fail"), states={4: "failed", 5: "waiting"}),
        {4: "the instruction changed"},
    ),
    "what the base image brings": (
        Made("FROM b\nRUN x\n", files={"f": "1"}, on_build=("COPY . /src",)),
        Made("FROM b\nRUN x\n", "1.1 2", files={"f": "2"}, on_build=("COPY . /src",)),
        {1: "1 file changed: f (modified)", 2: "because the base image's trigger ran: ONBUILD COPY . /src"},
    ),
    "what the base image brings, of configuration": (
        Made("FROM b\nRUN x\n", on_build=("ENV A=1",)),
        Made("FROM b\nRUN x\n", "2", on_build=("ENV A=2",)),
        {2: "the value of A changed"},
    ),
    "what the base image brings is new": (
        Made("FROM b\nRUN x\n"),
        Made("FROM b\nRUN x\n", "1.1 2", on_build=("RUN y",)),
        {1: "the base image's trigger is new", 2: "because the base image's trigger ran: ONBUILD RUN y"},
    ),
    "what the base image brings changed": (
        Made("FROM b\nRUN x\n", on_build=("RUN y",)),
        Made("FROM b\nRUN x\n", "1.1 2", on_build=("RUN y more",)),
        {1: "the base image's trigger changed", 2: "because the base image's trigger ran: ONBUILD RUN y more"},
    ),
    "an address": (
        Made("FROM b\nADD https://example.com/f /\n"),
        Made("FROM b\nADD https://example.com/f /\n", "2"),
        {2: "what the address gives may have changed: nothing else did"},
    ),
    "another builder": (
        Made("FROM b\nRUN x\n", builder="classic"),
        Made("FROM b\nRUN x\n", "2"),
        {2: "the build before ran on the classic builder, which has a cache of its own"},
    ),
    "a stage anew": (Made(STAGES), Made(STAGES, "2 6", anew=("ONE",)), {2: "--no-cache-filter", 6: "because line 2 ran: RUN a"}),
    "a stage anew in which an instruction changed": (
        Made(STAGES),
        Made(STAGES.replace("RUN a", "RUN aa"), "2", anew=("one",)),
        {2: "the instruction changed"},
    ),
    "the cache was pruned": (
        Made(BASE),
        Made(BASE, "1 3 4 5"),
        {3: PRUNED, 4: "because line 3 ran: COPY src /src", 5: "because line 4 ran: RUN make"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_why(name: str) -> None:
    before, now, expected = CASES[name]
    assert {reason.line: reason.sentence for reason in explained(before, now)} == expected


def test_a_first_build_and_one_without_a_cache() -> None:
    ran = Made(BASE, "3 4")
    assert [(r.line, r.kind, r.sentence) for r in explained(None, ran)] == [
        (3, "first", "first build of app here"),
        (4, "first", "first build of app here"),
    ]
    assert [(r.line, r.kind) for r in explained(ran, ran, no_cache=True)] == [(3, "no-cache"), (4, "no-cache")]


def test_files_that_are_not_known_are_not_called_unchanged() -> None:
    made = Made(BASE, "3")
    (reason,) = reasons(made.inputs, made.inputs, None)
    assert (reason.kind, reason.sentence) == ("unknown", "nothing else changed; which files did is not known")


def test_the_data_of_a_reason() -> None:
    (changed,) = explained(Made(BASE), Made(BASE.replace("RUN test", "RUN test \\\n  --all"), "5"))
    assert (changed.kind, changed.diff) == ("instruction", ("- RUN test", "+ RUN test \\", "+   --all"))
    (files,) = explained(Made(BASE), Made(BASE, "3", files={f"src/{i:02}": "" for i in range(30)}))
    assert (files.kind, files.files, len(files.added), files.modified, files.removed) == ("files", 30, 20, (), ())
    moved, after = explained(Made(BASE, images={"busybox": ("1",)}), Made(BASE, "3", images={"busybox": ("2",)}))
    assert (moved.kind, moved.old, moved.new, moved.line) == ("base", "1", "2", 1)
    assert (after.kind, after.cause) == ("step", 1)
    (argument,) = explained(Made("FROM b\nARG A=1\nRUN x\n"), Made("FROM b\nARG A=1\nRUN x\n", "3", {"A": "2"}))
    assert (argument.kind, argument.names) == ("argument", ("A",))
