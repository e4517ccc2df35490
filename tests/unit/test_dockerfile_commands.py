"""Instructions → commands, and their variables: what is read, what is refused with which text and where, what is expanded.

Texts are as measured on Docker Engine 28.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.heredoc import Heredoc
from dockerlab.dockerfile.instructions import INSTRUCTIONS
from dockerlab.dockerfile.mounts import Mount
from dockerlab.dockerfile.program import program
from dockerlab.dockerfile.reading import read
from dockerlab.errors import DockerfileError

hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

VARIABLES = {"x": "1", "two": "80 90", "e": ""}


def command(text: str, variables: dict[str, str] | None = None) -> c.Command:
    dockerfile = parse(text)
    found = read(dockerfile.nodes[0], dockerfile)
    return found if variables is None else expanded(found, variables, dockerfile)


def said(found: c.Command) -> dict[str, Any]:
    """The fields of a command, without those that have their default."""
    default = {field.name: field.default for field in dataclasses.fields(found)}
    fields = {name: getattr(found, name) for name in default if name != "node"}
    return {name: value for name, value in fields.items() if value != default[name] and value not in ({}, ())}


def refusal(text: str, variables: dict[str, str] | None = None) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        command(text, variables)
    return caught.value


def shell(text: str, *heredocs: Heredoc) -> dict[str, c.Line]:
    return {"line": c.Line((text,), True, heredocs)}


def exec_(*words: str) -> dict[str, c.Line]:
    return {"line": c.Line(words, False)}


READ: dict[str, tuple[type[c.Command], dict[str, Any]]] = {
    "FROM a:$v": (c.From, {"base": "a:$v"}),
    "from --platform=$P a As Build-1": (c.From, {"base": "a", "name": "build-1", "platform": "$P"}),
    "ARG a b=1 c= d='x y'": (c.Arg, {"pairs": (("a", None), ("b", "1"), ("c", ""), ("d", "'x y'"))}),
    "ENV a=b 'c d'=\"e f\" g=h\\ i j=k=l": (c.Env, {"pairs": (("a", "b"), ("'c d'", '"e f"'), ("g", "h\\ i"), ("j", "k=l"))}),
    "ENV a b  c=d": (c.Env, {"pairs": (("a", "b  c=d"),)}),
    "ENV a\tb": (c.Env, {"pairs": (("a", "b"),)}),
    "LABEL a= b=\\": (c.Label, {"pairs": (("a", ""), ("b", ""))}),
    "MAINTAINER me  you": (c.Maintainer, {"name": "me  you"}),
    "RUN a && b": (c.Run, shell("a && b")),
    'RUN ["a", "b c"]': (c.Run, exec_("a", "b c")),
    'RUN ["a", "b\']': (c.Run, shell('["a", "b\']')),
    "RUN <<E sh\nx\nE": (c.Run, shell("<<E sh", Heredoc("E", "x\n", False, True))),
    "RUN --network=none --security=insecure x": (c.Run, {**shell("x"), "network": "none", "security": "insecure"}),
    "RUN --mount=type=cache,target=/c --mount=from=b,target=/b,rw x": (
        c.Run,
        {
            **shell("x"),
            "mounts": (Mount("cache", "/c"), Mount("bind", "/b", "b")),
            "mount_texts": ("type=cache,target=/c", "from=b,target=/b,rw"),
        },
    ),
    "RUN": (c.Run, {"line": c.Line((), True)}),
    "CMD a b": (c.Cmd, shell("a b")),
    "CMD []": (c.Cmd, exec_()),
    'CMD ["\\ud800"]': (c.Cmd, exec_("\N{REPLACEMENT CHARACTER}")),
    'ENTRYPOINT ["a"]': (c.Entrypoint, exec_("a")),
    "COPY a b /c/": (c.Copy, {"sources": ("a", "b"), "target": "/c/"}),
    'COPY ["a b", "/c d"]': (c.Copy, {"sources": ("a b",), "target": "/c d"}),
    "COPY --from=0 --chown=a:b --chmod=0644 --link --parents=true --exclude=x --exclude=y a b": (
        c.Copy,
        {
            "sources": ("a",),
            "target": "b",
            "from_": "0",
            "chown": "a:b",
            "chmod": "0644",
            "link": True,
            "parents": True,
            "exclude": ("x", "y"),
        },
    ),
    "COPY --link=false a b": (c.Copy, {"sources": ("a",), "target": "b"}),
    "COPY a <<-E <<'F' /d\n\tx\n\tE\n$y\nF": (
        c.Copy,
        {"sources": ("a",), "target": "/d", "inline": (Heredoc("E", "x\n", False, True), Heredoc("F", "$y\n", False, False))},
    ),
    "ADD --checksum=sha256:0 --keep-git-dir --unpack=false u b": (
        c.Add,
        {"sources": ("u",), "target": "b", "checksum": "sha256:0", "keep_git_dir": True, "unpack": False},
    ),
    "WORKDIR a b": (c.Workdir, {"path": "a b"}),
    "USER a:b": (c.User, {"user": "a:b"}),
    'VOLUME ["/a b", " /c "]': (c.Volume, {"paths": ("/a b", "/c")}),
    'VOLUME /a "b': (c.Volume, {"paths": ("/a", '"b')}),
    "EXPOSE 90/udp 80 $x": (c.Expose, {"ports": ("$x", "80", "90/udp")}),
    "HEALTHCHECK NONE": (c.Healthcheck, {"test": ("NONE",)}),
    "HEALTHCHECK cmd a  b": (c.Healthcheck, {"test": ("CMD-SHELL", "a  b")}),
    'HEALTHCHECK --interval=1m30s --timeout=.5s --start-period=1h --start-interval=1500ms --retries=3 CMD ["a"]': (
        c.Healthcheck,
        {
            "test": ("CMD", "a"),
            "times": {"Interval": 90 * 10**9, "Timeout": 5 * 10**8, "StartPeriod": 3600 * 10**9, "StartInterval": 15 * 10**8},
            "retries": 3,
        },
    ),
    "HEALTHCHECK --interval=0s --retries=0 CMD a": (c.Healthcheck, {"test": ("CMD-SHELL", "a")}),
    "ONBUILD   run  x ": (c.Onbuild, {"trigger": "run  x "}),
    "ONBUILD RUN <<E\na\nE": (c.Onbuild, {"trigger": "RUN <<E\na\nE"}),
    "ONBUILD RUM x": (c.Onbuild, {"trigger": "RUM x"}),
    'SHELL ["a", "-c"]': (c.Shell, {"words": ("a", "-c")}),
    "STOPSIGNAL --x=1 9": (c.StopSignal, {"signal": "9"}),
    "# escape=`\nENV a=b` c d=\\": (c.Env, {"pairs": (("a", "b` c"), ("d", "\\"))}),
}


@pytest.mark.parametrize(("text", "expected"), READ.items(), ids=READ)
def test_what_is_read(text: str, expected: tuple[type[c.Command], dict[str, Any]]) -> None:
    found = command(text)
    assert (type(found), said(found)) == expected
    assert found.node.keyword in [name for name, _ in INSTRUCTIONS]


# Text → the error without its line, the column, and what was meant.
REFUSED: dict[str, tuple[str, int | None, str | None]] = {
    "RUM x": ("unknown instruction: RUM", 1, "Did you mean RUN?"),
    "xyzzy x": ("unknown instruction: xyzzy", 1, None),
    "FROM": ("FROM requires either one or three arguments", None, "FROM image, or FROM image AS name."),
    "FROM a b": ("FROM requires either one or three arguments", 8, "FROM image, or FROM image AS name."),
    "FROM a as 1": (
        'invalid name for build stage: "1", name can\'t start with a number or contain symbols',
        11,
        "A stage is named with a letter, then letters, digits, '-', '_' and '.'.",
    ),
    "FROM --platfrom=x a": ("unknown flag: --platfrom", 6, "Did you mean --platform?"),
    "ARG": ("ARG requires at least one argument", None, None),
    "ARG =b": ("ARG names can not be blank", 5, None),
    "ENV": ("ENV requires at least one argument", None, None),
    "ENV a": ("ENV must have two arguments", 5, "Write ENV a=value."),
    "ENV =b": ("ENV names can not be blank", 5, None),
    "ENV a=b cc": (
        'Syntax error - can\'t find = in "cc". Must be of the form: name=value',
        9,
        'Put a value with spaces in quotes: name="a b".',
    ),
    "LABEL --a b=c": ("unknown flag: --a", 7, None),
    "COPY a": (
        "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        6,
        "COPY source destination",
    ),
    "COPY --frm=a b c": ("unknown flag: --frm", 6, "Did you mean --from?"),
    "COPY --link=x a b": ("expecting boolean value for flag --link, not: x", 6, None),
    "COPY --link= a b": ("missing a value on flag: --link", 6, "Write --link=…"),
    "COPY --chown a b": ("missing a value on flag: --chown", 6, "Write --chown=…"),
    "COPY --chown=a --chown=b a b": ("duplicate flag specified: --chown", 6, None),
    'COPY ["a", 1]': ("when using JSON array syntax, arrays must be comprised of strings only", 6, None),
    "COPY a <<E\nE": ("COPY cannot accept a heredoc as a destination", 8, "The destination comes last."),
    "RUN --network=hst x": ('invalid network mode "hst"', 15, "Did you mean host?"),
    "RUN --security=no x": ('security "no" is not valid', 16, None),
    "RUN --mount= x": ("failed to parse csv mounts: EOF", 5, None),
    "RUN --mount=from=$x,target=/y x": ("'from' doesn't support variable expansion, define alias stage instead", 13, None),
    "CMD [null]": ("when using JSON array syntax, arrays must be comprised of strings only", 5, None),
    "SHELL a": ("SHELL requires the arguments to be in JSON form", 7, 'As a list: SHELL ["/bin/bash", "-c"].'),
    "SHELL []": ("SHELL requires at least one argument", None, None),
    "EXPOSE": ("EXPOSE requires at least one argument", None, None),
    "USER": ("USER requires exactly one argument", None, None),
    'VOLUME [""]': ("VOLUME specified can not be an empty string", 9, None),
    "VOLUME": ("VOLUME requires at least one argument", None, None),
    "HEALTHCHECK": ("HEALTHCHECK requires at least one argument", None, "HEALTHCHECK CMD command, or HEALTHCHECK NONE."),
    "HEALTHCHECK NONE x": ("HEALTHCHECK NONE takes no arguments", 18, None),
    "HEALTHCHECK FOO x": ('Unknown type "FOO" in HEALTHCHECK (try CMD)', 13, None),
    "HEALTHCHECK CMD": ("Missing command after HEALTHCHECK CMD", 13, None),
    "HEALTHCHECK --interval=x CMD y": ('time: invalid duration "x"', 24, "A time is a number with a unit: 30s, 1m30s, 500ms."),
    "HEALTHCHECK --interval=1 CMD y": (
        'time: missing unit in duration "1"',
        24,
        "A time is a number with a unit: 30s, 1m30s, 500ms.",
    ),
    "HEALTHCHECK --timeout=1us CMD y": ('Interval "timeout" cannot be less than 1ms', 13, None),
    "HEALTHCHECK --retries=x CMD y": ('strconv.ParseInt: parsing "x": invalid syntax', 13, "--retries is a number."),
    "HEALTHCHECK --retries=-1 CMD y": ("--retries cannot be negative (-1)", 13, None),
    "ONBUILD": ("ONBUILD requires at least one argument", None, None),
    "ONBUILD ONBUILD RUN x": ("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", 9, None),
    "ONBUILD from x": ("FROM isn't allowed as an ONBUILD trigger", 9, None),
    "ONBUILD ENV a": ("ENV must have two arguments", 13, "Write ENV a=value."),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items(), ids=REFUSED)
def test_what_is_refused(text: str, expected: tuple[str, int | None, str | None]) -> None:
    error = refusal(text)
    assert (error.message, error.column, error.hint) == (f"dockerfile parse error on line 1: {expected[0]}", *expected[1:])
    assert error.line == 1


def test_the_caret_stands_under_what_is_wrong_in_a_continued_line() -> None:
    error = refusal("\n# c\nCOPY --from=build \\\n     --chwon=me \\\n     a b\n")
    assert (error.line, error.column) == (3, 6)
    assert error.lines() == [
        "dockerfile parse error on line 3: unknown flag: --chwon",
        "  4 |      --chwon=me \\",
        "    |      ^",
        "",
        "→ Did you mean --chown?",
    ]


EXPANDED: dict[str, dict[str, Any]] = {
    "ARG a=$x b '$x'=c": {"pairs": (("a", "1"), ("b", None), ("'$x'", "c"))},
    "ENV $x='$x'\"$x\" b=${e:-n}": {"pairs": (("1", "$x1"), ("b", "n"))},
    "LABEL a='b c'": {"pairs": (("a", "b c"),)},
    "WORKDIR /$x": {"path": "/1"},
    'USER "$x:$x"': {"user": "1:1"},
    "STOPSIGNAL $x": {"signal": "1"},
    'VOLUME ["$x", "/a"]': {"paths": ("1", "/a")},
    "EXPOSE $two 7": {"ports": ("80", "90", "7")},
    "COPY --chown=$x --chmod=$x --exclude=$x $x '$x' $x": {
        "sources": ("1", "$x"),
        "target": "1",
        "chown": "1",
        "chmod": "1",
        "exclude": ("1",),
    },
    "ADD --checksum=$x a b": {"sources": ("a",), "target": "b", "checksum": "1"},
    "COPY <<E <<'F' /d\n\"$x\" it's \\$x\nE\n$x\nF": {
        "target": "/d",
        "inline": (Heredoc("E", '"1" it\'s $x\n', False, True), Heredoc("F", "$x\n", False, False)),
    },
    "RUN --mount=type=tmpfs,target=/$x,size=${x}m $x": {
        **shell("$x"),
        "mounts": (Mount("tmpfs", "/1", size=1 << 20),),
        "mount_texts": ("type=tmpfs,target=/$x,size=${x}m",),
    },
    "CMD $x": shell("$x"),
    "ENTRYPOINT $x": shell("$x"),
    "HEALTHCHECK CMD $x": {"test": ("CMD-SHELL", "$x")},
    "ONBUILD ENV a=$x": {"trigger": "ENV a=$x"},
    'SHELL ["$x"]': {"words": ("$x",)},
    "MAINTAINER $x": {"name": "$x"},
    "# escape=`\nUSER `$x\\$x": {"user": "$x\\1"},
}


@pytest.mark.parametrize(("text", "expected"), EXPANDED.items(), ids=EXPANDED)
def test_what_is_expanded(text: str, expected: dict[str, Any]) -> None:
    assert said(command(text, VARIABLES)) == {key: value for key, value in expected.items() if value not in ((), "")}


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("ENV a=b c=${z?no}", 'failed to process "${z?no}": z: no', 11),
        ("COPY a ${x", 'failed to process "${x": unsupported modifier (�) in substitution', 8),
        ("RUN --mount=type=cach,target=/x y", 'unsupported mount type "cach"', 13),
        ("RUN --mount=target=/x,uid=$x y", 'uid not allowed for "bind" type mounts', 23),
        ("EXPOSE 'x", 'failed to process "\'x": unexpected end of statement while looking for matching single-quote', 8),
    ],
)
def test_what_cannot_be_expanded(text: str, message: str, column: int) -> None:
    error = refusal(text, VARIABLES)
    assert (error.message, error.line, error.column) == (message, 1, column)
    assert error.place


def test_an_instruction_cannot_grow_without_end() -> None:
    big = {"x": "x" * 1_000_000}
    with pytest.raises(DockerfileError, match="variables make this instruction longer"):
        command("LABEL " + " ".join(f"l{number}=$x" for number in range(50)), big)


FRAGMENTS = (
    *(
        "a",
        "b=c",
        "=",
        "$x",
        "${x:-y}",
        "${",
        "'",
        '"',
        "\\",
        "`",
        "[",
        '["a"]',
        "]",
        ",",
        "{",
        "1",
        "-1",
        "é",
        "AS",
        "CMD",
        "NONE",
    ),
    *(
        "--from=0",
        "--from=s",
        "--from=$x",
        "--mount=",
        "--mount=from=s,target=/x",
        "--mount=type=cache,size=9",
        "--link",
        "--platform=x",
    ),
    *(
        "--interval=1s",
        "--interval=",
        "--retries=99999999999999",
        "--exclude=a",
        "--",
        "<<E",
        "<<-'E'",
        "\nE\n",
        "\n",
        " ",
        " ",
        " ",
    ),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([name for name, _ in INSTRUCTIONS] + ["X"]), st.lists(st.sampled_from(FRAGMENTS), max_size=7)),
        max_size=4,
    )
)
def test_no_text_fails_in_another_way(lines: list[tuple[str, list[str]]]) -> None:
    text = "FROM scratch AS s\n" + "\n".join(f"{keyword} {''.join(words)}" for keyword, words in lines)
    with contextlib.suppress(DockerfileError):
        dockerfile = parse(text)
        found = program(dockerfile)
        for stage in found.stages:
            for one in stage.commands:
                with contextlib.suppress(DockerfileError):
                    expanded(one, {"x": "a b"}, dockerfile)
        found.plan(build_args={"x": "s"})


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(max_size=20), max_size=3).map("\n".join))
def test_no_line_fails_in_another_way(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        dockerfile = parse(text)
        for node in dockerfile.nodes:
            with contextlib.suppress(DockerfileError):
                read(node, dockerfile)


@pytest.mark.parametrize("text", ["\x1c", "\x1c x", "ONBUILD \x1c", "HEALTHCHECK \x1c", "FROM a\n\x1c\x1d b", "\x00", "\u2028 x"])
def test_white_space_that_is_none_for_buildkit(text: str) -> None:
    with pytest.raises(DockerfileError):
        program(parse(text))
