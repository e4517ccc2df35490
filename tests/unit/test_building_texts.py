"""What a build is asked for, what its commands run and what its history says: pure functions of the builder."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dockerlab.dockerfile.parser import parse as parse_dockerfile
from dockerlab.dockerfile.program import program
from dockerlab.engine import changes
from dockerlab.engine.building import history
from dockerlab.engine.building.request import BuildRequest, parse, place
from dockerlab.engine.building.scripts import Script, script
from dockerlab.engine.building.state import State, key_of
from dockerlab.engine.http.types import Query
from dockerlab.errors import EngineError, UsageError

HERE = ("linux/amd64",)


def asked(headers: dict[str, str] | None = None, /, **values: str | list[str]) -> BuildRequest:
    query = {name: [value] if isinstance(value, str) else value for name, value in values.items()}
    return parse(Query(query), headers or {}, HERE)


def test_nothing_asked_for() -> None:
    assert asked() == BuildRequest()


@pytest.mark.parametrize("said", [["a:1.2.3.4", "b:::1"], ["a:1.2.3.4,b:::1"], ['["a:1.2.3.4", "b:::1"]']])
def test_hosts_are_sent_in_three_ways(said: list[str]) -> None:
    assert asked(extrahosts=said).host == {"ExtraHosts": ["a:1.2.3.4", "b:::1"]}


def test_what_docker_py_sends() -> None:
    found = asked(
        t=["app", "registry.example:5000/x/app:2"],
        buildargs='{"A": "1", "B": null}',
        labels='{"x": "y", "z": null}',
        dockerfile="sub/Dockerfile.dev",
        target="web",
        nocache="True",
        pull="0",
        rm="1",
        q="false",
        cachefrom='["app:old"]',
        memory="1000",
        cpusetcpus="0",
        networkmode="host",
        extrahosts="db:10.0.0.1,web:10.0.0.2",
        shmsize="64",
        platform="linux/amd64",
    )
    assert found.tags == ("docker.io/library/app:latest", "registry.example:5000/x/app:2")
    assert found.args == {"A": "1", "B": None}
    assert found.labels == {"x": "y", "z": ""}
    assert (found.dockerfile, found.target, found.no_cache, found.pull, found.quiet) == (
        "sub/Dockerfile.dev",
        "web",
        True,
        False,
        False,
    )
    assert found.cache_from == ("app:old",)
    assert found.platform == ""
    assert found.host == {
        "Memory": 1000,
        "CpusetCpus": "0",
        "NetworkMode": "host",
        "ExtraHosts": ["db:10.0.0.1", "web:10.0.0.2"],
        "ShmSize": 64,
    }


def test_credentials_are_read_and_not_shown() -> None:
    said = base64.urlsafe_b64encode(json.dumps({"registry.example": {"username": "u", "password": "canary"}}).encode()).decode()
    found = asked({"x-registry-config": said.rstrip("=")})
    assert found.auth == {"registry.example": {"username": "u", "password": "canary"}}
    assert "canary" not in repr(found)
    assert asked({"x-registry-config": "%%%"}).auth == {}


@pytest.mark.parametrize(
    ("values", "status", "text"),
    [
        ({"version": "2", "remote": "client-session"}, 400, "session=ID"),
        ({"outputs": '[{"Type":"local"}]'}, 400, "version=2"),
        ({"version": "2", "outputs": '[{"Type":"oci"}]'}, 500, 'exporter "oci" could not be found'),
        ({"isolation": "hyperv"}, 400, 'unsupported isolation: "hyperv"'),
        ({"squash": "1"}, 400, "squash is only supported with experimental mode"),
        ({"platform": "linux/arm64"}, 400, "cannot build for linux/arm64"),
        ({"platform": "foo"}, 400, '"foo": unknown operating system or architecture: invalid argument'),
        ({"t": "Bad"}, 500, "invalid reference format: repository name (library/Bad) must be lowercase"),
        ({"t": "x@sha256:" + "0" * 64}, 500, "build tag cannot contain a digest"),
        ({"buildargs": "[]"}, 400, "invalid JSON in buildargs"),
        ({"buildargs": '{"A": 1}'}, 400, "invalid JSON in buildargs: A is not a text"),
        ({"labels": "{"}, 400, "invalid JSON in labels"),
        ({"cachefrom": '{"a": 1}'}, 400, "invalid JSON in cachefrom"),
        ({"memory": "much"}, 400, "invalid value for memory"),
    ],
)
def test_what_is_refused(values: dict[str, str], status: int, text: str) -> None:
    with pytest.raises((EngineError, UsageError)) as caught:
        asked(**values)
    assert caught.value.status == status
    assert text in caught.value.message


@pytest.mark.parametrize(("name", "cleaned"), [("Dockerfile", "Dockerfile"), ("./a/../b", "b"), ("/abs", "abs"), ("a\\b", "a/b")])
def test_a_dockerfile_has_its_place(name: str, cleaned: str) -> None:
    assert place(name) == cleaned


def test_a_dockerfile_outside_is_refused() -> None:
    with pytest.raises(UsageError, match="must be within the build context"):
        place("../Dockerfile")


def run_of(text: str) -> Script:
    """The script of a Dockerfile's first RUN."""
    command: Any = program(parse_dockerfile(f"FROM x\n{text}\n")).stages[0].commands[0]
    return script(command.line, ("/bin/sh", "-c"))


@pytest.mark.parametrize(
    ("text", "argv", "file"),
    [
        ("RUN echo a && b", ("/bin/sh", "-c", "echo a && b"), ""),
        ('RUN ["echo", "a b"]', ("echo", "a b"), ""),
        ("RUN <<EOF\necho $a\nEOF", ("/bin/sh", "-c", "echo $a\n"), ""),
        ("RUN <<-EOF\n\techo a\n\t\tb\n\tEOF", ("/bin/sh", "-c", "echo a\nb\n"), ""),
        ("RUN <<'E F'\n#!/bin/cat\nx\nE F", ("/dev/pipes/E F",), "#!/bin/cat\nx\n"),
        ("RUN python <<EOF\nprint(1)\nEOF", ("/bin/sh", "-c", "python <<EOF\nprint(1)\nEOF"), ""),
        ("RUN <<EOF python3\nprint(1)\nEOF", ("/bin/sh", "-c", "<<EOF python3\nprint(1)\nEOF"), ""),
        ("RUN <<A cat; <<B cat\na\nA\nb\nB", ("/bin/sh", "-c", "<<A cat; <<B cat\na\nA\nb\nB"), ""),
    ],
)
def test_what_is_run(text: str, argv: tuple[str, ...], file: str) -> None:
    assert run_of(text) == Script(argv, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ENV A=b C="d e"', "ENV A=b C=d e"),
        ("LABEL l=1", "LABEL l=1"),
        ("CMD echo hi", 'CMD ["/bin/sh" "-c" "echo hi"]'),
        ('ENTRYPOINT ["a"]', 'ENTRYPOINT ["a"]'),
        ("USER nobody", "USER nobody"),
        ("EXPOSE 80 90/udp", "EXPOSE 80 90/udp"),
        ("VOLUME /v /w", "VOLUME [/v /w]"),
        ("STOPSIGNAL SIGINT", "STOPSIGNAL SIGINT"),
        ('SHELL ["/bin/sh","-ec"]', "SHELL [/bin/sh -ec]"),
        ("ONBUILD RUN echo x", "ONBUILD RUN echo x"),
        ("MAINTAINER me", "MAINTAINER me"),
    ],
)
def test_history_reads_as_dockers(text: str, said: str) -> None:
    """As Docker Engine 28's classic builder wrote them; quotes are gone because variables have been expanded."""
    dockerfile = parse_dockerfile(f"FROM x\n{text}\n")
    from dockerlab.dockerfile.expansion import expanded

    command = expanded(program(dockerfile).stages[0].commands[0], {}, dockerfile)
    assert history.told(command, changes.applied({}, command)) == said


def test_a_step_is_known_by_all_that_it_depends_on() -> None:
    keys = {
        key_of(None, "RUN a", []),
        key_of(None, "RUN b", []),
        key_of(None, "RUN a", ["x"]),
        key_of(None, "RUN a", [["x"]]),
        key_of(None, "RUN a", [None]),
    }
    assert len(keys) == 5
    assert key_of(None, "RUN a", ["x", 1]) == key_of(None, "RUN a", ["x", 1])


def test_env_hides_arg() -> None:
    state = State(None, {"Env": ["A=env"]}, {"A": "arg", "B": "b"})
    assert state.variables == {"A": "env", "B": "b"}
    assert state.arguments == ("B=b",)
