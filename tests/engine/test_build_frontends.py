"""Frontends that a Dockerfile names (`# syntax=`, BUILDKIT_SYNTAX) on real engines: those that are not there, and images that are none."""

from __future__ import annotations

import pytest

import dockerlab
from dockerlab import embedded
from dockerlab.client import Client
from dockerlab.errors import BuildError

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("sessions")]

REST = "FROM busybox\nRUN true\n"
OWN = "Leave the line out: the engine's own frontend then reads the Dockerfile."


@pytest.fixture
def frontend(client: Client, prefix: str) -> str:
    """An image that is no frontend."""
    assert client.api.tag("busybox", f"{prefix}frontend", "1")
    return f"{prefix}frontend:1"


def failed(client: Client, text: str, **options: object) -> BuildError:
    with pytest.raises(BuildError) as caught:
        dockerlab.build(text, client=client, **options)  # type: ignore[arg-type]
    return caught.value


def one_of_its_own(client: Client) -> bool:
    return embedded.is_own(client.version())


def test_an_image_that_is_no_frontend(client: Client, frontend: str) -> None:
    error = failed(client, f"# escape=`\n# syntax={frontend}\n{REST}")
    if one_of_its_own(client):
        said = f"line 2: dockerlab's engine has one frontend, its own: it does not run {frontend}"
    else:
        said = f"line 2: the image '{frontend}' is no frontend: it does not read Dockerfiles"
    assert (error.line, error.message) == (2, said)
    assert error.place[0] == f"2 | # syntax={frontend}"
    assert error.hint
    assert error.hint.startswith(OWN)
    assert error.evidence[0].startswith("the engine says: ")


def test_a_frontend_that_cannot_be_fetched(client: Client) -> None:
    error = failed(client, f"# syntax=nowhere.invalid/front/end:1\n{REST}")
    assert error.line == 1
    assert "nowhere.invalid/front/end:1" in error.message
    assert one_of_its_own(client) or error.message == "line 1: the engine cannot fetch the frontend 'nowhere.invalid/front/end:1'"
    assert error.hint
    assert error.hint.startswith(OWN)


def test_a_name_that_is_none(client: Client) -> None:
    error = failed(client, f"# syntax=Not/A/Name\n{REST}")
    assert (error.line, error.place[0]) == (1, "1 | # syntax=Not/A/Name")


@pytest.mark.parametrize("is_there", [True, False])
def test_an_argument_is_no_line(client: Client, frontend: str, is_there: bool) -> None:
    error = failed(client, REST, build_arg={"BUILDKIT_SYNTAX": frontend if is_there else "nowhere.invalid/x:1"})
    assert (error.line, error.place) == (None, ())
    assert error.message.startswith("--build-arg BUILDKIT_SYNTAX: ")
    assert error.hint
    assert error.hint.startswith("Leave --build-arg BUILDKIT_SYNTAX out: the engine's own frontend then reads the Dockerfile.")


def test_dockers_own_frontend_is_the_engines_where_it_has_no_other(client: Client, prefix: str) -> None:
    if not one_of_its_own(client):
        pytest.skip("the engine fetches it")
    tag = f"{prefix}built:1"
    for name in (
        "docker/dockerfile",
        "docker/dockerfile:1.7-labs",
        "docker.io/docker/dockerfile-upstream:master",
        "docker/dockerfile:1 x",
    ):
        assert dockerlab.build(f"# syntax={name}\nFROM scratch\nLABEL a=b\n", tag=tag, client=client).build
    given = {"BUILDKIT_SYNTAX": "docker/dockerfile:1"}
    assert dockerlab.build("FROM scratch\nLABEL a=b\n", tag=tag, build_arg=given, client=client).build
