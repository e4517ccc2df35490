"""Flags of `run` → values of the Engine API, by tables."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.containers import options
from dockerlab.containers.configuration import CreateConfig, Surroundings, create_config
from dockerlab.containers.ports import Published, parse_publish, published_in
from dockerlab.errors import UsageError

LOCAL = "127.0.0.1"


def plan(*command: str, attach: bool = True, local: bool = True, **flags: Any) -> CreateConfig:
    surroundings = Surroundings({"HERE": "yes"}, "/srv", "/home/me", local)
    return create_config("app", list(command) or None, attach=attach, surroundings=surroundings, **flags)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("8080:5000", [(5000, "tcp", LOCAL, "8080")]),
        ("127.0.0.1:8080:5000/udp", [(5000, "udp", "127.0.0.1", "8080")]),
        ("5000", [(5000, "tcp", LOCAL, "")]),
        (5000, [(5000, "tcp", LOCAL, "")]),
        ("0:5000", [(5000, "tcp", LOCAL, "")]),
        ("8000-8002:8000-8002", [(n, "tcp", LOCAL, str(n)) for n in (8000, 8001, 8002)]),
        ("8000-8001:80-81/sctp", [(80, "sctp", LOCAL, "8000"), (81, "sctp", LOCAL, "8001")]),
        ("8000-8005:80", [(80, "tcp", LOCAL, "8000-8005")]),
        ("80-81", [(80, "tcp", LOCAL, ""), (81, "tcp", LOCAL, "")]),
        ("[::1]:80:80", [(80, "tcp", "::1", "80")]),
        ("0.0.0.0:80:80/TCP", [(80, "tcp", "0.0.0.0", "80")]),
        ("127.0.0.1::80", [(80, "tcp", "127.0.0.1", "")]),
    ],
)
def test_publish(item: str | int, expected: list[tuple[Any, ...]]) -> None:
    assert list(parse_publish(item, LOCAL)) == [Published(*e) for e in expected]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("", "not a port"),
        ("x", "not a port"),
        ("80:", "not a port"),
        ("1:2:3:4", "not a port"),
        ("localhost:80:80", "not an IP address"),
        ("80/icmp", "protocol"),
        ("9-8:9-8", "backwards"),
        ("70000", "65535"),
        ("0", "1 to 65535"),
        ("8000-8001:9000-9002", "2 host ports for 3"),
        ("80-", "neither a port nor a range"),
    ],
)
def test_wrong_publish_names_the_flag_and_the_right_form(item: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_publish(item, LOCAL)
    assert str(caught.value).startswith("-p ")
    assert "-p 8080:5000" in (caught.value.hint or "")


@pytest.mark.parametrize(("local", "address"), [(True, "127.0.0.1"), (False, "")])
def test_ports_of_a_local_engine_are_for_this_machine_alone(local: bool, address: str) -> None:
    bindings = plan(publish=["8080:5000"], local=local).body["HostConfig"]["PortBindings"]
    assert bindings == {"5000/tcp": [{"HostIp": address, "HostPort": "8080"}]}


@pytest.mark.parametrize(
    "attrs",
    [
        {"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}}},
        {"Names": ["/x"], "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 81}]},
    ],
)
def test_published_of_inspected_and_listed(attrs: dict[str, Any]) -> None:
    assert published_in(attrs) == (Published(80, "tcp", "0.0.0.0", "8080"),)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["A=1", "B=x=y", "C="], ["A=1", "B=x=y", "C="]),
        ("A=1", ["A=1"]),
        (["HERE"], ["HERE=yes"]),
        (["ABSENT"], ["ABSENT"]),
        (["A=1", "A=2"], ["A=2"]),
        ({"A": 1, "HERE": None}, ["A=1", "HERE=yes"]),
    ],
)
def test_environment(given: Any, expected: list[str]) -> None:
    assert options.environment(given, (), {"HERE": "yes"}) == expected


def test_flags_count_over_env_files() -> None:
    assert options.environment(["A=2"], ["A=1", "B=1"], {}) == ["B=1", "A=2"]


def test_environment_without_a_name() -> None:
    with pytest.raises(UsageError, match="-e '=1'"):
        options.environment(["=1"], (), {})


def test_env_file_by_dockers_rules() -> None:
    content = '\ufeff# comment\r\n\n  A=1\nQUOTED="x y"  \nHERE\nABSENT\nEMPTY=\nHASH=a#b'.encode()
    expected = ["A=1", 'QUOTED="x y"  ', "HERE=yes", "EMPTY=", "HASH=a#b"]
    assert options.parse_env_file(content, "f", {"HERE": "yes"}) == expected


@pytest.mark.parametrize(("content", "reason"), [(b"A=1\nB C=2", r"line 2: .*white space"), (b"=2", "line 1"), (b"\xff", "UTF-8")])
def test_wrong_env_file(content: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        options.parse_env_file(content, "f", {})


@pytest.mark.parametrize(
    ("item", "bind"),
    [
        ("/data:/x", "/data:/x"),
        ("/data:/x:ro,z", "/data:/x:ro,z"),
        ("./data:/x", "/srv/data:/x"),
        ("../data:/x", "/data:/x"),
        (".:/x", "/srv:/x"),
        ("sub/data:/x", "/srv/sub/data:/x"),
        ("~/data:/x", "/home/me/data:/x"),
        ("~:/x", "/home/me:/x"),
        ("named:/x", "named:/x"),
        ("na.m-e_1:/x:ro", "na.m-e_1:/x:ro"),
        (r"C:\x:/data:ro", r"C:\x:/data:ro"),
        ("C:/x/../y:/data", r"C:\y:/data"),
        (r"C:\x:C:\y", r"C:\x:C:\y"),
    ],
)
def test_volume(item: str, bind: str) -> None:
    assert options.parse_volume(item, "/srv", "/home/me").bind == bind


def test_volume_on_windows() -> None:
    assert options.parse_volume(r".\data:/x", r"C:\work", r"C:\Users\me").bind == r"C:\work\data:/x"
    assert options.parse_volume(r"~\data:/x", r"C:\work", r"C:\Users\me").bind == r"C:\Users\me\data:/x"


def test_volume_without_a_source() -> None:
    body = plan(volume=["/cache", "/a:/b"]).body
    assert body["Volumes"] == {"/cache": {}}
    assert body["HostConfig"]["Binds"] == ["/a:/b"]


@pytest.mark.parametrize("item", ["", "a", "aa:b", "/a::b", "a:/b", "/a:/b:rw:x", "/a:/b:readonly", "/a:/", "-x:/y", " x:/y"])
def test_wrong_volume(item: str) -> None:
    with pytest.raises(UsageError, match=r"^-v '") as caught:
        options.parse_volume(item, "/srv", "/home/me")
    assert "SOURCE:TARGET" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, 0),
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("1.5GiB", 3 << 29),
        ("64 MB", 64 << 20),
        ("2048", 2048),
        (4096, 4096),
        ("8b", 8),
    ],
)
def test_memory(given: Any, expected: int) -> None:
    assert options.memory(given) == expected


@pytest.mark.parametrize("given", ["", "0", "-1", "much", "1x", "m"])
def test_wrong_memory(given: str) -> None:
    with pytest.raises(UsageError, match="--memory"):
        options.memory(given)


@pytest.mark.parametrize(("given", "expected"), [(None, 0), ("0.5", 500_000_000), (2, 2_000_000_000), (0.1, 100_000_000)])
def test_cpus(given: Any, expected: int) -> None:
    assert options.nano_cpus(given) == expected


@pytest.mark.parametrize("given", ["0", "-1", "two", "nan", "inf", ""])
def test_wrong_cpus(given: str) -> None:
    with pytest.raises(UsageError, match="--cpus"):
        options.nano_cpus(given)


@pytest.mark.parametrize(
    ("given", "name", "count"),
    [("no", "no", 0), ("always", "always", 0), ("on-failure", "on-failure", 0), ("on-failure:3", "on-failure", 3)],
)
def test_restart(given: str, name: str, count: int) -> None:
    assert options.restart_policy(given) == {"Name": name, "MaximumRetryCount": count}


@pytest.mark.parametrize("given", ["", "sometimes", "always:3", "on-failure:x", "on-failure:"])
def test_wrong_restart(given: str) -> None:
    with pytest.raises(UsageError, match="--restart"):
        options.restart_policy(given)


def test_labels() -> None:
    assert options.labels(["a=1", "b", "c=x=y"]) == {"a": "1", "b": "", "c": "x=y"}
    assert options.labels({"a": 1}) == {"a": "1"}
    with pytest.raises(UsageError, match="--label"):
        options.labels(["=1"])


def test_a_plain_run_asks_for_nothing_more() -> None:
    body = plan(attach=True).body
    assert body == {
        "Image": "app",
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": "default"},
    }


def test_all_flags() -> None:
    config = plan(
        "a", "b c", interactive=True, env={"A": "1"}, workdir="/w", user="1000", name="web1", rm=True, network="net", memory="64m",
        cpus="0.5", entrypoint="/e e", label=["l=1"], platform="linux/amd64", attach=False,
    )  # fmt: skip
    assert (config.name, config.platform) == ("web1", "linux/amd64")
    assert config.body["Cmd"] == ["a", "b c"]
    assert config.body["Entrypoint"] == ["/e e"]
    assert (config.body["OpenStdin"], config.body["StdinOnce"]) == (True, False)
    assert config.body["HostConfig"] == {"AutoRemove": True, "NetworkMode": "net", "Memory": 64 << 20, "NanoCpus": 500_000_000}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"name": "-x"}, "--name"),
        ({"name": "x"}, "--name"),
        ({"rm": True, "restart": "always"}, "--rm and --restart"),
        ({"publish": ["80"], "network": "host"}, "--network host"),
    ],
)
def test_what_does_not_go_together(flags: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        plan(**flags)


def test_command_as_text_is_split_as_a_shell_does() -> None:
    assert options.words("sh -c 'echo x'") == ["sh", "-c", "echo x"]
    with pytest.raises(UsageError, match="split"):
        options.words("echo 'x")
