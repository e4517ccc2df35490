"""COPY: which files, where to, whose, with which mode, as the layer says it. More of the layer is in `test_building_layers`.

What the tables expect was measured on Docker Engine 28 with BuildKit; `test_building_against_docker` asks an engine again.
"""

from __future__ import annotations

import pytest

from tests.embedded.building import Bench, Make

CONTENTS = ["l l777 0:0 -> x.txt", "sub/ d711 0:0", "sub/y f4755 0:0 'Y'", "sub/z.md f644 0:0 'Z'", "x.txt f644 0:0 'X'"]


def below(folder: str, lines: list[str]) -> list[str]:
    return [f"{folder}/{line}" for line in lines]


GOOD = {
    # a file
    "COPY a.txt /to/deep/f": ["to/ d755 0:0", "to/deep/ d755 0:0", "to/deep/f f644 0:0 'A'"],
    "COPY a.txt /to/": ["to/ d755 0:0", "to/a.txt f644 0:0 'A'"],
    "COPY a.txt /to": ["to f644 0:0 'A'"],
    "COPY /a.txt/ /to/": ["to/ d755 0:0", "to/a.txt f644 0:0 'A'"],
    'COPY ["s p", "/t/"]': ["t/ d755 0:0", "t/s p f644 0:0 'sp'"],
    "COPY a.txt b.txt .": ["a.txt f644 0:0 'A'", "b.txt f644 0:0 'B'"],
    "COPY a.txt b.txt /d": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'", "d/b.txt f644 0:0 'B'"],
    # a directory
    "COPY dir /to": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY ./dir/. /to/": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY hd /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1"],
    "COPY hd/1 hd/2 /t/": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 f644 0:0 '11'"],
    "COPY hd a.txt /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1", "t/a.txt f644 0:0 'A'"],
    "COPY hd links /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1", "t/sf l777 0:0 -> elsewhere"],
    # links that are named
    "COPY ln /to/": ["to/ d755 0:0", "to/ln f644 0:0 'A'"],
    "COPY lnd /to": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY p/sl/g /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'"],
    # wildcards
    "COPY *.txt /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'", "t/b.txt f644 0:0 'B'"],
    "COPY */*.txt /t/": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY **/*.txt /t/": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY p/sl/* /t/": ["t/ d755 0:0", "t/f f644 0:0 'f'", "t/g f644 0:0 'g'"],
    "COPY p/*/g /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'"],
    "COPY ?/sl/g /t/": [],
    "COPY [[]x] /t/": ["t/ d755 0:0", "t/[x] f644 0:0 'br'"],
    "COPY [^b].?d /t/": ["t/ d755 0:0", "t/a.md f644 0:0 'M'"],
    "COPY a.txt nope* /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'"],
    "COPY nope* /t/": [],
    "COPY p/* /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'", "t/r/ d755 0:0", "t/r/f f644 0:0 'f'"],
    # where to
    "COPY a.txt /d": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"],
    "COPY a.txt /d/f": ["d/ d711 9:9", "d/f f644 0:0 'A'"],
    "COPY a.txt /sl/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /sl": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"],
    "COPY a.txt /abs/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /up/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /dang/new": ["nowhere/ d755 0:0", "nowhere/there/ d755 0:0", "nowhere/there/new f644 0:0 'A'"],
    "COPY a.txt /dang": ["nowhere/ d755 0:0", "nowhere/there f644 0:0 'A'"],
    "COPY a.txt /sf": ["file f644 0:0 'A'"],
    # The target keeps what it has; directories in it do not.
    "COPY merge /d": ["d/ d711 9:9", "d/dd/ d750 0:0", "d/dd/new f644 0:0 'N'"],
    "COPY --chown=joe merge /d": ["d/ d711 9:9", "d/dd/ d750 70:71", "d/dd/new f644 70:71 'N'"],
    "COPY merge merge/dd /d/": ["d/ d711 9:9", "d/dd/ d750 0:0", "d/dd/new f644 0:0 'N'", "d/new f644 0:0 'N'"],
    "COPY links /": ["sf l777 0:0 -> elsewhere"],
    "COPY dir /sl": ["d/ d711 9:9", *below("d", CONTENTS)],
    "COPY --link a.txt /sl/new": ["sl/ d755 0:0", "sl/new f644 0:0 'A'"],
    # whose, and how
    "COPY --chown=7:8 hd /to/deep": [
        "to/ d755 7:8",
        "to/deep/ d755 7:8",
        "to/deep/1 f644 7:8 '11'",
        "to/deep/2 h644 7:8 -> to/deep/1",
    ],
    "COPY --chown=joe a.txt /n/": ["n/ d755 70:71", "n/a.txt f644 70:71 'A'"],
    "COPY --chown=joe:staff a.txt /n": ["n f644 70:50 'A'"],
    "COPY --chown=:staff a.txt /n": ["n f644 0:50 'A'"],
    "COPY --chown=99 a.txt /n": ["n f644 99:99 'A'"],
    "COPY --chown=99:staff a.txt /n": ["n f644 99:50 'A'"],
    "COPY --chown=joe a.txt /d/": ["d/ d711 9:9", "d/a.txt f644 70:71 'A'"],
    "COPY --chown=joe --link a.txt /d/": ["d/ d755 70:71", "d/a.txt f644 70:71 'A'"],
    "COPY --chmod=751 dir/sub /to": ["to/ d751 0:0", "to/y f751 0:0 'Y'", "to/z.md f751 0:0 'Z'"],
    "COPY --chmod=01777 a.txt /to/": ["to/ d755 0:0", "to/a.txt f1777 0:0 'A'"],
    "COPY --chmod=u+x,go-r dir/sub /to": ["to/ d755 0:0", "to/y f4711 0:0 'Y'", "to/z.md f700 0:0 'Z'"],
    # what is left out
    "COPY --exclude=sub dir /t": ["t/ d755 0:0", "t/l l777 0:0 -> x.txt", "t/x.txt f644 0:0 'X'"],
    "COPY --exclude=dir/sub dir /t": ["t/ d755 0:0", *below("t", CONTENTS)],
    "COPY --exclude=* --exclude=!x.txt dir /t": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY --exclude=* --exclude=!sub/z.md dir /t": ["t/ d755 0:0", "t/sub/ d711 0:0", "t/sub/z.md f644 0:0 'Z'"],
    "COPY --exclude=**/*.md --exclude=l --exclude=#no dir /t": [
        *("t/ d755 0:0", "t/sub/ d711 0:0", "t/sub/y f4755 0:0 'Y'", "t/x.txt f644 0:0 'X'")
    ],
    "COPY --exclude=a.txt a.txt /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'"],
    # with their folders
    "COPY --parents p/q/r/f /t/": [
        "t/ d755 0:0",
        "t/p/ d755 0:0",
        "t/p/q/ d711 0:0",
        "t/p/q/r/ d755 0:0",
        "t/p/q/r/f f644 0:0 'f'",
    ],
    "COPY --parents p/./q/g /t/": ["t/ d755 0:0", "t/q/ d711 0:0", "t/q/g f644 0:0 'g'"],
    "COPY --parents ./*/./*/g /t/": ["t/ d755 0:0", "t/q/ d711 0:0", "t/q/g f644 0:0 'g'"],
    "COPY --parents **/*.md /t/": [
        *("t/ d755 0:0", "t/a.md f644 0:0 'M'", "t/dir/ d700 0:0", "t/dir/sub/ d711 0:0", "t/dir/sub/z.md f644 0:0 'Z'")
    ],
    "COPY --parents --exclude=**/r p /t": [
        *("t/ d755 0:0", "t/p/ d755 0:0", "t/p/q/ d711 0:0", "t/p/q/g f644 0:0 'g'", "t/p/sl l777 0:0 -> q")
    ],
    "COPY --parents nope* /t/": [],
    # heredocs
    "COPY <<EOF <<-G /here/\nhello\nEOF\n\ttab\nG": ["here/ d755 0:0", "here/EOF f644 0:0 'hello\\n'", "here/G f644 0:0 'tab\\n'"],
    "COPY --chmod=700 --chown=4:5 <<EOF /here\nhello\nEOF": ["here f700 4:5 'hello\\n'"],
}


@pytest.mark.parametrize("text", GOOD)
def test_what_a_layer_says(bench: Bench, text: str) -> None:
    assert bench.copy(text) == GOOD[text]


BAD = {
    "COPY nope /to/": "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
    "COPY nope/* /to/": "stat nope: file does not exist",
    "COPY p/nope/* /to/": "stat p/nope: file does not exist",
    "COPY a.txt/x /to/": "file does not exist",
    "COPY ../a.txt /to/": "COPY failed: forbidden path outside the build context: ../a.txt ()",
    "COPY dir/../../x /to/": "forbidden path outside the build context",
    "COPY a.txt b.txt /to": "When using COPY with more than one source file, the destination must be a directory and end with a /",
    "COPY *.txt /to": "When using COPY with more than one source file",
    "COPY a.txt b.txt /file": "When using COPY with more than one source file",
    "COPY [a- /to/": "syntax error in pattern",
    "COPY a.txt /file/z": "mkdir /file: not a directory",
    "COPY a.txt /file/": "mkdir /file: not a directory",
    "COPY dir /file": "cannot copy to non-directory: /file",
    "COPY under /d": "cannot copy to non-directory: /d/f",
    "COPY over /": "cannot replace to directory /d with file",
    "COPY a.txt /loop/a": "too many links",
    "COPY --chown=zoe a.txt /n": "unable to find user zoe: no matching entries in passwd file",
    "COPY --chown=joe:zoe a.txt /n": "unable to find group zoe: no matching entries in group file",
    "COPY --chown=99999999999 a.txt /n": "uids and gids must be in range",
    "COPY --chmod=foo a.txt /n": "invalid chmod parameter: 'foo'",
    "COPY --chmod=888 a.txt /n": "invalid chmod parameter: '888'. it should be octal string and between 0 and 07777",
    "COPY --parents nope/x /t/": "file does not exist",
    f"COPY a.txt /{'n' * 300}/x": "file name too long",
    f"COPY a.txt /{'d/' * 2100}": "file name too long",
    "COPY <<'..' /to/\nx\n..": "a heredoc's name is that of its file, and '..' cannot be one",
    "COPY <<'a/b' /to/\nx\na/b": "a heredoc's name is that of its file",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused(bench: Bench, text: str) -> None:
    assert BAD[text] in bench.fails(text)
    assert not bench.left()


FROM = {
    "COPY --from=0 /own /own2": ["own2 f4755 7:8 'own'"],
    "COPY --from=0 /owned /q/owned": ["q/ d755 0:0", "q/owned/ d755 0:0", "q/owned/z f644 7:8 'z'"],
    "COPY --from=0 /fifo /null /q/": ["q/ d755 0:0", "q/fifo p644 0:0", "q/null c644 0:0"],
    "COPY --from=0 /abs /q": ["q/ d755 0:0", "q/dd/ d755 0:0", "q/f f644 0:0 'old'"],
    "COPY --from=0 --chown=3:4 /own /h1 /h2 /q/": [
        *("q/ d755 3:4", "q/h1 f644 3:4 'H'", "q/h2 f644 3:4 'H'", "q/own f4755 3:4 'own'")
    ],
}


@pytest.mark.parametrize("text", FROM)
def test_what_comes_from_a_stage_keeps_its_owner(bench: Bench, text: str, make: Make) -> None:
    bench_of_nothing = make()
    assert bench_of_nothing.copy(text, source=bench.root()) == FROM[text]


def test_all_of_a_stage_with_its_links_and_devices(bench: Bench, make: Make) -> None:
    found = make().copy("COPY --from=0 / /q/", source=bench.root())
    assert "q/h2 h644 0:0 -> q/h1" in found
    assert "q/owned/ d2750 7:8" in found
    assert "q/null c644 0:0" in found
    assert "q/up l777 0:0 -> ../../d" in found


def test_a_target_is_relative_to_the_working_directory(bench: Bench) -> None:
    assert bench.copy("COPY a.txt rel/x", workdir="/d/dd") == [
        "d/ d711 9:9",
        "d/dd/ d755 0:0",
        "d/dd/rel/ d755 0:0",
        "d/dd/rel/x f644 0:0 'A'",
    ]
    assert bench.copy("COPY a.txt ..", workdir="/d/dd") == ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"]
