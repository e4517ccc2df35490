"""What is wrong with an instruction and shows only when it is carried out: with line and caret, as all that is wrong with a Dockerfile."""

from __future__ import annotations

import pytest

from tests.embedded.builds import build, hostile
from tests.embedded.rungs import OwnEngine

PREPARED = "FROM busybox\nARG none\nARG word=x:y:z\nRUN ln -s /dev /link; ln -s /proc/self /inside\n"
OWN = "invalid mount target {}: each command has the {} of its container there"
DEVICES, PROC = "devices", "/proc"


@pytest.mark.parametrize(
    ("instruction", "message", "at"),
    [
        ("EXPOSE 80 99999", "Invalid containerPort: 99999", "99999"),
        ("EXPOSE 80/x", "Invalid proto: x", "80/x"),
        ("EXPOSE 1-3:5-9", "Invalid ranges specified for container and host Ports: 5-9 and 1-3", "1-3:5-9"),
        ("EXPOSE $word", "Invalid ip address: x", "EXPOSE"),
        ("STOPSIGNAL SIGNOTHING", "invalid signal: SIGNOTHING", "SIGNOTHING"),
        ("WORKDIR $none", "cannot normalize nothing", "WORKDIR"),
        ("VOLUME /a $none", "VOLUME specified can not be an empty string", "VOLUME"),
        ("ENV A=1 $none=2", "invalid environment variable: =2", "=2"),
        ("RUN --security=insecure true", "granting entitlement security.insecure is not allowed by this engine", "--security"),
        ("RUN --mount=type=secret,id=s,required true", "secret s: not found", "id=s"),
        ("RUN --mount=type=bind,target=/dev true", OWN.format('"/dev"', DEVICES), "/dev"),
        (
            "RUN --mount=type=cache,target=dev/../dev/null true",
            OWN.format('"dev/../dev/null", which is /dev/null', DEVICES),
            "dev/..",
        ),
        ("RUN --mount=type=tmpfs,target=/link true", OWN.format('"/link", which is /dev', DEVICES), "/link"),
        ("RUN --mount=target=/proc true", OWN.format('"/proc"', PROC), "/proc"),
        ("RUN --mount=type=tmpfs,target=/inside true", OWN.format('"/inside", which is /proc/self', PROC), "/inside"),
        ("RUN --mount=target=/ true", 'invalid mount target "/": that is the root of the image itself', "/ "),
    ],
)
def test_what_shows_when_it_is_carried_out(own: OwnEngine, instruction: str, message: str, at: str) -> None:
    built = build(own.client, f"{PREPARED}{instruction}\n")
    said, line, caret, *_ = built.error.splitlines()
    assert said == message
    assert line == f"5 | {instruction}"
    assert caret == "  | " + " " * instruction.index(at) + "^"


def test_a_line_of_several(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nEXPOSE 80 \\\n  # another\n  81 \\\n  8x\nCMD x\n")
    assert built.error.splitlines() == ["Invalid containerPort: 8x", "5 |   8x", "  |   ^"]


def test_what_the_base_left_to_be_carried_out(own: OwnEngine) -> None:
    """It is in no line of the Dockerfile but that of the FROM which brings it."""
    hostile(own, "left:1", {"OnBuild": ["EXPOSE 8x"]})
    said, line, caret, *_ = build(own.client, "FROM left:1\nCMD x\n").error.splitlines()
    assert (said, line, caret) == ("Invalid containerPort: 8x", "1 | FROM left:1", "  | ^")


@pytest.mark.parametrize("target", ["/dev/shm", "/dev/more", "/sys/fs/cgroup", "/sys"])
def test_where_something_can_be_mounted(own: OwnEngine, target: str) -> None:
    assert build(own.client, f"FROM busybox\nRUN --mount=target={target} test -f {target}/a\n", {"a": "x"}, nocache=True).image
