"""`--secret`: how it is read, when values are read, and that no value is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab.builds.secrets import LARGEST, Secrets
from dockerlab.errors import UsageError
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import GetSecretRequest, GetSecretResponse
from tests.unit.exchanging import Call

CANARY = "canary-7f3a"


def asked(secrets: Secrets, name: str) -> Call:
    call = Call()
    call.tell(secrets.begin(call, {}), encode(GetSecretRequest(name)))
    return call


def value(secrets: Secrets, name: str) -> bytes:
    call = asked(secrets, name)
    assert call.status == grpc.OK, call.text
    return decode(GetSecretResponse, call.sent[0]).data


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", CANARY)
    Path("file").write_bytes(b"of the file")
    Path("a,b").write_bytes(b"with a comma")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=x,env=TOKEN", CANARY.encode()),
        ("ID=x,ENV=TOKEN", CANARY.encode()),
        ("id=x,src=file", b"of the file"),
        ("id=x,source=file,type=file", b"of the file"),
        ("type=env,id=x,src=TOKEN", CANARY.encode()),
        ('id=x,"src=a,b"', b"with a comma"),
        ("id=x,var=password", b"from the notebook"),
        ("id=x,var=raw", b"\0\xff"),
    ],
)
def test_where_a_value_comes_from(text: str, expected: bytes) -> None:
    assert value(Secrets.of([text], {"password": "from the notebook", "raw": b"\0\xff"}), "x") == expected


def test_an_id_alone_is_a_variable_of_the_environment_or_else_a_file() -> None:
    secrets = Secrets.of(["id=TOKEN", "id=file"])
    assert (value(secrets, "TOKEN"), value(secrets, "file")) == (CANARY.encode(), b"of the file")


def test_values_may_be_given_by_id() -> None:
    secrets = Secrets.of({"a": "text", "b": b"\0"})
    assert (value(secrets, "a"), value(secrets, "b")) == (b"text", b"\0")


def test_of_two_of_an_id_the_later_counts() -> None:
    assert value(Secrets.of(["id=x,src=file", "id=x,env=TOKEN"]), "x") == CANARY.encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id=x,env=NOBODY_SET_THIS", "secret 'x': the environment has no variable 'NOBODY_SET_THIS'"),
        ("id=x,src=nowhere", "secret 'x': the file 'nowhere' cannot be read: No such file or directory"),
        ("id=x,src=.", "secret 'x': '.' is no regular file"),
        ("id=x,var=nothing", "secret 'x': the notebook has no variable 'nothing'"),
        ("id=x,var=number", "secret 'x': 'number' is of type int; a secret is a str or bytes"),
        ("id=x", "secret 'x': the file 'x' cannot be read: No such file or directory"),
        ("src=file", "--secret has no id"),
        ("id=x,env=TOKEN,src=file", "secret 'x' has env and src; it comes from one of them"),
        ("id=x,type=tape", "--secret: type is 'file' or 'env'"),
        ("id=x,mode=1", "--secret has a key that it does not know; it knows id, env, src, source, var, type"),
        ('id=x,"src=file', "--secret: its text cannot be read: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_an_error_before_the_build(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Secrets.of([text], {"number": 7})
    assert caught.value.message == message


def test_a_secret_has_at_most_500_kb() -> None:
    Path("file").write_bytes(bytes(LARGEST))
    assert len(value(Secrets.of(["id=x,src=file"]), "x")) == LARGEST
    Path("file").write_bytes(bytes(LARGEST + 1))
    with pytest.raises(UsageError, match="secret 'x' is too big; at most 500 KB"):
        Secrets.of(["id=x,src=file"])


def test_a_value_is_read_when_the_engine_asks() -> None:
    namespace: dict[str, object] = {"password": "old"}
    secrets = Secrets.of(["id=x,var=password", "id=f,src=file"], namespace)
    namespace["password"] = "new"
    Path("file").unlink()
    assert value(secrets, "x") == b"new"
    call = asked(secrets, "f")
    assert (call.status, call.text) == (grpc.UNKNOWN, "secret 'f': the file 'file' cannot be read: No such file or directory")
    assert call.sent == []


def test_an_unknown_id_is_not_found() -> None:
    call = asked(Secrets.of([]), "token")
    assert (call.status, call.text) == (grpc.NOT_FOUND, "secret token not found")


@pytest.mark.parametrize(
    "text", [CANARY, f"token={CANARY}", f"id=x,{CANARY}", f"id=x,{CANARY}=1", f"id=x,var={CANARY}!", f'"{CANARY}']
)
def test_no_error_shows_what_may_be_a_secret_in_the_wrong_place(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Secrets.of([text], {})
    assert CANARY not in "\n".join(caught.value.lines())


def test_no_repr_shows_a_value() -> None:
    secrets = Secrets.of({"a": CANARY})
    more = Secrets.of(["id=b,env=TOKEN", "id=c,var=v"], {"v": CANARY})
    shown = f"{secrets!r} {vars(secrets)!r} {more!r} {vars(more)!r}"
    assert CANARY not in shown
    assert "Secrets(a)" in shown
