"""A Compose file and an engine's containers as values: what is told of them, where an error is, what is not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dockerlab.compose.model import Config, Progress, Row, located, pinned, project

READ: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {"build": {"context": "."}, "depends_on": {"db": {"condition": "service_healthy"}, "mig": {}}},
        "db": {"image": "postgres"},
        "mig": {"image": "mig:1", "depends_on": {"db": {"condition": "service_completed_successfully"}}},
    },
}


def listed(service: str, number: int, state: str, status: str, **more: Any) -> dict[str, Any]:
    labels = {"com.docker.compose.service": service, "com.docker.compose.container-number": str(number)}
    return {
        "Names": [f"/shop-{service}-{number}"],
        "State": state,
        "Status": status,
        "Labels": labels,
        "Image": "from:engine",
        **more,
    }


def test_services_with_their_containers() -> None:
    found = project(
        READ,
        [
            listed("web", 2, "running", "Up 2 seconds (health: starting)"),
            listed(
                "web", 1, "running", "Up 3 seconds (healthy)", Ports=[{"PublicPort": 80, "PrivatePort": 5000}, {"PrivatePort": 9}]
            ),
            listed("db", 1, "exited", "Exited (137) 2 seconds ago"),
            listed("web", 3, "running", "Up")
            | {"Labels": {"com.docker.compose.service": "web", "com.docker.compose.oneoff": "True"}},
            listed("gone", 1, "exited", "Exited (0) 2 seconds ago"),
        ],
    )
    assert [one.name for one in found.services] == ["db", "gone", "mig", "web"]
    web = found["web"]
    assert [one.name for one in web.containers] == ["shop-web-1", "shop-web-2"]
    assert (web.state, web.is_built, web.needs, web.ports) == (
        "healthy, starting",
        True,
        (("db", "healthy"), ("mig", "started")),
        ("80 → 5000",),
    )
    assert [found[name].state for name in ("db", "gone", "mig")] == ["exited 137", "exited 0", "not there"]
    assert (found["db"].image, found["gone"].image, found["mig"].needs) == ("postgres", "from:engine", (("db", "completed"),))
    marks = {line.split()[1]: line[0] for line in str(found).splitlines()[1:]}
    assert marks == {"db": "✕", "gone": "■", "mig": "○", "web": "◐"}
    assert found.dot.count(" -> ") == 3


def test_without_a_file_a_label_says_what_waits() -> None:
    one = listed("web", 1, "running", "Up")
    one["Labels"]["com.docker.compose.depends_on"] = "db:service_healthy:false,cache:service_started:false"
    found = project({"name": "shop", "services": {}}, [one])
    assert found["web"].needs == (("cache", "started"), ("db", "healthy"))
    assert " -> " not in found.dot  # neither is there


def test_build_that_names_an_image(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    text = "services:\n  a: {build: folder}\n  b: {build: app}\n  c: {build: https://host/app.git}\n  d: {build: {context: app}}\n"
    asked: list[str] = []

    def is_image(name: str) -> bool:
        asked.append(name)
        return name == "app"

    made = yaml.safe_load(pinned(text, tmp_path, is_image))["services"]
    assert made == yaml.safe_load(text)["services"] | {"b": {"image": "app"}}
    assert asked == ["app"]


@pytest.mark.parametrize(
    "text", ["services: {a: {build: none}}", "a: [", "services: !reset {}", "", "- a", "services: [a]", "services: {a: b}"]
)
def test_any_other_file_stays_as_it_is(text: str, tmp_path: Path) -> None:
    assert pinned(text, tmp_path, lambda name: False) == text


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("yaml: line 3: mapping values are not allowed in this context", 3),
        ("services.web.ports.0 must be a string", 4),
        ("services.web additional properties 'imag' not allowed", 5),
        ("services.web.none.at.all", 2),
        ("yaml: line 99: none", None),
        ("no such image", None),
    ],
)
def test_the_line_of_an_error(message: str, line: int | None) -> None:
    text = "services:\n  web:\n    image: x\n    ports: [[]]\n    imag: y\n"
    assert located(message, text)[0] == line
    assert located(message, "a: [")[0] is None


def test_likely_secrets_are_not_shown() -> None:
    read = {
        "services": {
            "web": {
                "environment": {"API_TOKEN": "s3cret", "URL": "https://me:s3cret@host", "HOME": "/", "EMPTY": None},
                "command": ["run", "--password", "s3cret", "-v"],
                "ports": [{"target": 80, "mode": "ingress"}],
            }
        }
    }
    shown = Config(read)
    assert "s3cret" not in str(shown) + repr(shown) + shown._repr_html_()
    web = shown["services"]["web"]
    assert web["environment"] == {"API_TOKEN": "***", "URL": "https://me:***@host", "HOME": "/", "EMPTY": None}
    assert web["ports"] == [{"target": 80, "mode": "ingress"}]


def test_what_compose_says_is_shown_and_never_run() -> None:
    hostile = "<script>alert(1)</script>"
    told = (
        Progress(hostile, "bringing up")
        .told(hostile, Row.of({"text": "Error", "status": hostile}))
        .told("a", Row.of({"status": "Pulling"}))
    )
    page = told._repr_html_()
    assert hostile not in page
    assert "✕" in page
    assert "◐" in page
    assert hostile not in project({"name": hostile, "services": {hostile: {"image": hostile}}}, [])._repr_html_()
