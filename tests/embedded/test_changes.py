"""`--change` of commit and import: instructions that change an image's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.engine import changes
from dockerlab.errors import UsageError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('CMD ["flask", "run"]', {"Cmd": ["flask", "run"]}),
        ("cmd flask run", {"Cmd": ["/bin/sh", "-c", "flask run"]}),
        ("ENV A=b C='d e' D=\"$x\"", {"Env": ["OLD=1", "A=b", "C=d e", "D="]}),
        ("ENV A=$OLD B=${x:-$OLD}2", {"Env": ["OLD=1", "A=1", "B=12"]}),
        ("ENV OLD some text", {"Env": ["OLD=some text"]}),
        ("LABEL a=b c=d", {"Labels": {"a": "b", "c": "d"}}),
        ("EXPOSE $OLD 80-81/UDP [::1]:8080:90", {"ExposedPorts": {"1/tcp": {}, "80/udp": {}, "81/udp": {}, "90/tcp": {}}}),
        ("EXPOSE 80 53/udp", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        ("USER app:app", {"User": "app:app"}),
        ("WORKDIR sub", {"WorkingDir": "/srv/sub"}),
        ("WORKDIR /else", {"WorkingDir": "/else"}),
        ('VOLUME ["/a", "/b c"]', {"Volumes": {"/a": {}, "/b c": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ('SHELL ["/bin/bash", "-c"]', {"Shell": ["/bin/bash", "-c"]}),
        ("ONBUILD RUN make", {"OnBuild": ["RUN make"]}),
        ("CMD", {"Cmd": ["/bin/sh", "-c"]}),
        ("CMD []", {"Cmd": []}),
        ('ENTRYPOINT ["b"]', {"Entrypoint": ["b"], "Cmd": None}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            "HEALTHCHECK --interval=1m30s --timeout=500ms --retries=2 CMD curl localhost",
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "curl localhost"],
                    "Interval": 90_000_000_000,
                    "Timeout": 500_000_000,
                    "Retries": 2,
                }
            },
        ),
    ],
)
def test_each_instruction(line: str, expected: dict[str, Any]) -> None:
    before = {"Env": ["OLD=1"], "WorkingDir": "/srv"}
    assert changes.apply(before, [line]) == before | expected
    assert before == {"Env": ["OLD=1"], "WorkingDir": "/srv"}


def test_they_are_carried_out_in_order() -> None:
    lines = ['SHELL ["/bin/bash", "-c"]', "CMD run", "", "ENV A=1", "ENV A=2"]
    assert changes.apply({}, lines) == {
        "Shell": ["/bin/bash", "-c"],
        "Cmd": ["/bin/bash", "-c", "run"],
        "Env": ["A=2"],
    }
    assert changes.apply({}, ["CMD c", 'ENTRYPOINT ["b"]'])["Cmd"] == ["/bin/sh", "-c", "c"]
    assert changes.apply({"Cmd": ["x"]}, ["", " "]) == {"Cmd": ["x"]}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("RUN make", "RUN is not a valid change command"),
        ("FROM scratch", "FROM is not a valid change command"),
        ("NOSUCH x", "NOSUCH is not a valid change command"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV =b", "ENV names can not be blank"),
        ("LABEL a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
        ("EXPOSE x", "Invalid containerPort: x"),
        ("SHELL bash", "SHELL requires the arguments to be in JSON form"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK CMX x", 'Unknown type "CMX" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=x CMD y", 'time: invalid duration "x"'),
        ("USER", "USER requires exactly one argument"),
        ("EXPOSE 1:2:3", "Invalid ip address: 1"),
        ("EXPOSE x:90", "Invalid hostPort: x"),
        ("EXPOSE 80-81:90-92", "Invalid ranges specified for container and host Ports: 90-92 and 80-81"),
        ("EXPOSE 80/foo", "Invalid proto: foo"),
        ("EXPOSE /tcp", "No port specified: /tcp<empty>"),
        ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"),
        ("WORKDIR $nothing", "cannot normalize nothing"),
        ("VOLUME $nothing", "VOLUME specified can not be an empty string"),
        ("ENV $nothing=1", "invalid environment variable: =1"),
        ("ENV a=${b?no}", 'failed to process "${b?no}": b: no'),
        ("ENV --x a=b", "unknown flag: --x"),
    ],
)
def test_what_is_refused(line: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        changes.apply({}, [line])
    assert caught.value.message == text
