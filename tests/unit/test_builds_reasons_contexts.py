"""Why a step ran that hangs on a named context: its files where the engine was told of them, its address, an image in its place."""

from __future__ import annotations

import pytest

from tests.unit.reasoning import PRUNED, STAGES, Cases, Made, explained

NAMED = "FROM busybox\nCOPY --from=lib / /\nRUN make\n"
TWO_NAMED = "FROM b\nCOPY --from=lib src /\nCOPY --from=more src /\nRUN --mount=from=lib,source=a,target=/l make\n"
ON_NAMED = "FROM lib AS one\nRUN make\nFROM one\nRUN test\n"
UNSEEN = "what the build context lib holds may have changed: nothing else did"

CASES: Cases = {
    "a named context": (
        Made(NAMED, contexts=("lib=.",)),
        Made(NAMED, "2 3", contexts=("lib=.",)),
        {2: UNSEEN, 3: "because line 2 ran: COPY --from=lib / /"},
    ),
    "another named context": (
        Made(NAMED, contexts=("lib=.",)),
        Made(NAMED, "2", contexts=("lib=docker-image://x",)),
        {2: "the value of --build-context lib changed"},
    ),
    "files of a named context": (
        Made(NAMED, contexts=("lib=.",), named={"lib": {"a": "1", "b": "1"}}),
        Made(NAMED, "2 3", contexts=("lib=.",), named={"lib": {"a": "2", "c": "1"}}),
        {
            2: "3 files of context lib changed: a (modified), c (added), b (removed)",
            3: "because line 2 ran: COPY --from=lib / /",
        },
    ),
    "a named context in which nothing changed": (
        Made(NAMED, contexts=("lib=.",), named={"lib": {"a": "1"}}),
        Made(NAMED, "2 3", contexts=("lib=.",), named={"lib": {"a": "1"}}),
        {2: PRUNED, 3: "because line 2 ran: COPY --from=lib / /"},
    ),
    "files of a named context that a step does not take": (
        Made(TWO_NAMED, contexts=("lib=.", "more=."), named={"lib": {"src/a": "1", "a": "1"}, "more": {"src/a": "1"}}),
        Made(TWO_NAMED, "2 3 4", contexts=("lib=.", "more=."), named={"lib": {"src/a": "1", "a": "2"}, "more": {"src/a": "2"}}),
        {2: PRUNED, 3: "1 file of context more changed: src/a (modified)", 4: "1 file of context lib changed: a (modified)"},
    ),
    "a step that is in the cache with other files of a named context": (
        Made(NAMED, contexts=("lib=.",), named={"lib": {"a": "1"}}),
        Made(NAMED, "3", contexts=("lib=.",), named={"lib": {"a": "2"}}),
        {3: "because line 2 changed: COPY --from=lib / /"},
    ),
    "files of a named context that is a base": (
        Made(ON_NAMED, contexts=("lib=.",), named={"lib": {"a": "1"}}),
        Made(ON_NAMED, "2 4", contexts=("lib=.",), named={"lib": {"a": "2"}}),
        {
            1: "1 file of context lib changed: a (modified)",
            2: "because files of context lib changed (line 1)",
            4: "because line 2 ran: RUN make",
        },
    ),
    "a mount of a named context": (
        Made("FROM b\nRUN --mount=from=lib,target=/l make\n", contexts=("lib=.",)),
        Made("FROM b\nRUN --mount=from=lib,target=/l make\n", "2", contexts=("lib=.",)),
        {2: UNSEEN},
    ),
    "a named context as a base": (
        Made(ON_NAMED, contexts=("lib=.",)),
        Made(ON_NAMED, "2 4", contexts=("lib=.",)),
        {2: UNSEEN, 4: "because line 2 ran: RUN make"},
    ),
    "a base two stages down that is a named context": (
        Made(ON_NAMED, contexts=("lib=https://example.com/a.tar",)),
        Made(ON_NAMED, "4", contexts=("lib=https://example.com/a.tar",)),
        {4: UNSEEN},
    ),
    "a named context of a step that is in the cache with other files": (
        Made(NAMED, contexts=("lib=.",)),
        Made(NAMED, "3", contexts=("lib=.",)),
        {3: UNSEEN},
    ),
    "a named context in a stage that is copied from": (
        Made("FROM a\nCOPY --from=lib / /\nFROM b AS two\nCOPY --from=0 /a /a\nRUN c\n", contexts=("lib=.",)),
        Made("FROM a\nCOPY --from=lib / /\nFROM b AS two\nCOPY --from=0 /a /a\nRUN c\n", "4 5", contexts=("lib=.",)),
        {4: UNSEEN, 5: "because line 4 ran: COPY --from=0 /a /a"},
    ),
    "a named context elsewhere": (
        Made("FROM a AS one\nCOPY --from=lib / /\nFROM b\nRUN c\nCOPY --from=one /a /\n", contexts=("lib=.",)),
        Made("FROM a AS one\nCOPY --from=lib / /\nFROM b\nRUN c\nCOPY --from=one /a /\n", "4", contexts=("lib=.",)),
        {4: PRUNED},
    ),
    "a named image moved": (
        Made(ON_NAMED, contexts=("lib=docker-image://x:1",), images={"x:1": ("1",), "lib": ("3",)}),
        Made(ON_NAMED, "2 4", contexts=("lib=docker-image://x:1",), images={"x:1": ("2",), "lib": ("4",)}),
        {1: "the base image x:1 moved: 1 → 2", 2: "because the base image moved (line 1)", 4: "because line 2 ran: RUN make"},
    ),
    "a named context in the place of a stage": (
        Made(STAGES, contexts=("one=.",)),
        Made(STAGES, "6 7", contexts=("one=.",)),
        {6: UNSEEN.replace("lib", "one"), 7: "because line 6 ran: COPY --from=one /a /a"},
    ),
    "a named context in the place of a stage that is named by its number": (
        Made(STAGES.replace("--from=one", "--from=0"), contexts=("one=.",)),
        Made(STAGES.replace("--from=one", "--from=0"), "6", contexts=("one=.",)),
        {6: UNSEEN.replace("lib", "one")},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_why(name: str) -> None:
    before, now, expected = CASES[name]
    assert {reason.line: reason.sentence for reason in explained(before, now)} == expected
