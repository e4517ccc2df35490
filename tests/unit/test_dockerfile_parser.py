"""What the parser makes of a text: lines, flags, heredocs, comments, directives, stages, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from dockerlab.dockerfile import Dockerfile, Heredoc, Node, parse, stages
from dockerlab.errors import DockerfileError


def only(text: str) -> Node:
    (node,) = parse(text).nodes
    return node


def test_an_instruction_knows_its_lines() -> None:
    text = "FROM a\n\nRUN one \\\n  # comment\n\n  && two\nCOPY <<EOF /x\nhello\nEOF\nCMD x"
    assert [(node.keyword, node.line, node.end_line) for node in parse(text).nodes] == [
        ("FROM", 1, 1),
        ("RUN", 3, 6),
        ("COPY", 7, 9),
        ("CMD", 10, 10),
    ]


def test_text_flags_and_arguments() -> None:
    node = only("copy --from=build --chown='1 1' a \\\n  b  ")
    assert (node.keyword, node.flags, node.arguments) == ("COPY", ("--from=build", "--chown=1 1"), "a   b")
    assert node.text == "copy --from=build --chown='1 1' a   b  "


@pytest.mark.parametrize(
    ("opening", "heredoc"),
    [
        ("<<EOF", Heredoc("EOF", "", chomp=False, expand=True)),
        ("<<-EOF", Heredoc("EOF", "", chomp=True, expand=True)),
        ("<< EOF", Heredoc("EOF", "", chomp=False, expand=True)),
        ("<< -EOF", Heredoc("-EOF", "", chomp=False, expand=True)),
        ("3<<EOF", Heredoc("EOF", "", chomp=False, expand=True, file_descriptor=3)),
        ("<<'EOF'", Heredoc("EOF", "", chomp=False, expand=False)),
        ('<<EO"F"', Heredoc("EOF", "", chomp=False, expand=False)),
        ("<<''EOF", Heredoc("EOF", "", chomp=False, expand=False)),
        ("<<eo\\'f", Heredoc("eo'f", "", chomp=False, expand=True)),
        ("<<'e'o\\'f", Heredoc("eo'f", "", chomp=False, expand=False)),
        ("<<'a b'", Heredoc("a b", "", chomp=False, expand=False)),
        ("<<' '", Heredoc(" ", "", chomp=False, expand=False)),
        ("<<$EOF", Heredoc("$EOF", "", chomp=False, expand=True)),
        ("<<${EOF}", Heredoc("${EOF}", "", chomp=False, expand=True)),
        ("<<file.txt", Heredoc("file.txt", "", chomp=False, expand=True)),
    ],
)
def test_how_a_heredoc_is_opened(opening: str, heredoc: Heredoc) -> None:
    assert only(f"RUN {opening}\n{heredoc.name}").heredocs == (heredoc,)
    full = only(f"ONBUILD COPY {opening} ${{x:-y}} /to\r\n\tcontent $x\r\n{heredoc.name}\r\n")
    assert full.heredocs == (dataclasses.replace(heredoc, content="\tcontent $x\r\n"),)


@pytest.mark.parametrize(
    "line",
    [
        "RUN echo it's <<EOF",
        'RUN echo " <<EOF',
        "RUN '<<EOF'",
        "RUN \\<<EOF",
        "RUN a<<EOF",
        "RUN <<<EOF",
        "RUN <<- EOF",
        "RUN <<",
        "RUN <<''",
        "RUN <<${EOF:-x}",
        "RUN <<EOF ${",
        "RUN <<EOF ${}",
        "RUN <<EOF ${x@}",
        "RUN <<EOF ${x/a}",
        "RUN <<EOF " + "${x:-" * 5000,
        'RUN ["<<EOF"]',
        'COPY [ "<<EOF" , "/x" ]',
        "CMD <<EOF",
        "ONBUILD CMD <<EOF",
        "ONBUILD ONBUILD RUN <<EOF",
        "ONBUILD",
    ],
)
def test_what_opens_no_heredoc(line: str) -> None:
    assert only(line).heredocs == ()


def test_heredocs_in_what_only_looks_like_the_exec_form() -> None:
    assert only('RUN ["a", <<EOF\nEOF').heredocs
    assert only('COPY ["a"] <<EOF /x\nEOF').heredocs


def test_several_heredocs_follow_each_other() -> None:
    node = only("COPY <<X <<Y /dest\nY\nX\nX\nY")
    assert [(heredoc.name, heredoc.content) for heredoc in node.heredocs] == [("X", "Y\n"), ("Y", "X\n")]
    assert node.end_line == 5


def test_directives() -> None:
    dockerfile = parse(
        "# syntax=docker/dockerfile:1\n#Check = skip=all \n# escape=`\n# escape=\\\nFROM a `\n b".replace("# escape=\\\n", "")
    )
    assert dict(dockerfile.directives) == {"syntax": "docker/dockerfile:1", "check": "skip=all", "escape": "`"}
    assert dockerfile.escape == "`"
    assert dockerfile.nodes[0].arguments == "a  b"
    assert dockerfile.nodes[0].comments == ()


@pytest.mark.parametrize("head", ["\n", "# a comment\n", "# other=x\n", "#\n", "#!/bin/sh\n"])
def test_directives_end_at_the_first_line_that_is_none(head: str) -> None:
    dockerfile = parse(f"{head}# escape=`\nFROM a")
    assert (dict(dockerfile.directives), dockerfile.escape) == ({}, "\\")


def test_comments_belong_to_the_instruction_below_them() -> None:
    text = "# syntax=x\n# far\n#\n# near\n\n  #  indented \nFROM a\nRUN b \\\n# inside\n c\n"
    assert [node.comments for node in parse(text).nodes] == [("near", "indented"), ()]


def test_the_source_is_there_line_by_line() -> None:
    assert parse("\ufeffFROM a\r\nRUN b\x0bc\n").source == ("FROM a", "RUN b\x0bc")


def test_an_unknown_keyword_is_a_node_like_any_other() -> None:
    assert [(node.keyword, node.arguments) for node in parse("form a\nr\u0131n b\n\\\n").nodes] == [
        ("FORM", "a"),
        ("r\u0131n", "b"),
        ("", ""),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff", " \t\n\u00a0\n"])
def test_no_instruction_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="the Dockerfile is empty") as caught:
        parse(text)
    assert caught.value.line is None
    assert "FROM" in (caught.value.hint or "")


def test_a_heredoc_without_end_is_an_error_with_its_place() -> None:
    with pytest.raises(DockerfileError, match="line 2: the heredoc EOF has no end") as caught:
        parse("FROM a\nRUN cat <<EOF\n EOF\n")
    assert caught.value.line == 2
    assert caught.value.place == ("2 | RUN cat <<EOF", "  |         ^")


@pytest.mark.parametrize(
    ("text", "said"),
    [("# escape=x\nFROM a", "line 1: the escape directive takes"), ("# escape=`\n# escape=`\nFROM a", "line 2: .* twice")],
)
def test_a_wrong_escape_directive_is_an_error(text: str, said: str) -> None:
    with pytest.raises(DockerfileError, match=said) as caught:
        parse(text)
    assert caught.value.place


def test_values_are_frozen() -> None:
    dockerfile = parse("# escape=`\nFROM a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        dockerfile.nodes[0].line = 3  # type: ignore[misc]
    assert isinstance(dockerfile.directives, Mapping)
    assert not hasattr(dockerfile.directives, "__setitem__")
    assert len({dockerfile, parse("# escape=`\nFROM a")}) == 1


def test_a_large_file_is_read_in_linear_time() -> None:
    text = "FROM a\n" + "RUN x \\\n  # c\n  && y\n" * 5000 + "COPY <<E /x\n" + "line\n" * 20000 + "E\n"
    assert len(parse(text).nodes) == 5002


def test_stages() -> None:
    dockerfile = parse("ARG V=1\nFROM a:$V AS Build\nRUN x\nFROM --platform=p b\nFROM build\tas  last extra\nCMD x\nFROM")
    assert [(stage.index, stage.name, stage.base, stage.nodes) for stage in stages(dockerfile)] == [
        (0, "build", "a:$V", (1, 2)),
        (1, None, "b", (3,)),
        (2, None, "build", (4, 5)),
        (3, None, "", (6,)),
    ]
    assert stages(parse("RUN x")) == stages(Dockerfile((), ())) == ()
