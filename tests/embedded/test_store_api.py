"""The endpoints of images, as functions: what they answer is what Docker Engine 28 answers."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.engine import timestamps
from dockerlab.engine.api.images import ROUTES
from dockerlab.engine.events import Events
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Answer, Body, Query, Request, Response, Stream
from dockerlab.engine.store import Store, Use
from dockerlab.errors import DockerlabError
from tests.embedded.archives import Made, digest, layer, load, packed, store, unpacked

BASE = layer(("motd", b"hello", {}))
OLD = Made([BASE], ["old:1"], {"created": "2001-01-01T00:00:00Z", "config": {"Labels": {"age": "old", "kind": "x"}}})
NEW = Made([BASE, layer(("more", b"x" * 1000, {}))], ["registry.test:5000/a/new:2"], {"created": "2002-01-01T00:00:00Z"})


@dataclass
class Called:
    """The endpoints of an engine that has nothing but images."""

    images: Store
    events: Events
    uses: list[Use] = field(default_factory=list)
    version: tuple[int, int] = (1, 48)

    def __call__(self, method: str, path: str, body: bytes = b"", /, **query: Any) -> Any:
        """The answer's value, or its status and message; of a stream, its bytes."""
        texts = {
            name: value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else str(value)]
            for name, value in query.items()
        }
        engine: Any = SimpleNamespace(
            store=self.images,
            events=self.events,
            containers=SimpleNamespace(all=list, images=dict),
            uses=lambda: self.uses,
            runtime=SimpleNamespace(capabilities=SimpleNamespace(rootfs="overlay")),
        )
        request = Request(method, f"/v{self.version[0]}.{self.version[1]}{path}", query=Query(texts), body=Body.of(body))
        try:
            return shown(Router(engine, ROUTES)(request))
        except DockerlabError as error:
            return error.status, error.message

    def names(self, **query: Any) -> list[str]:
        return [name for image in self("GET", "/images/json", **query) for name in image["RepoTags"]]


def shown(response: Response) -> Any:
    if isinstance(response, Stream):
        return b"".join(response.chunks)
    assert isinstance(response, Answer)
    return response.value if response.value is not None else response.status


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def call(tmp_path: Path) -> Called:
    events = Events()
    made = store(tmp_path)
    for image in (OLD, NEW):
        load(made, packed(image.docker()))
    made._notify = lambda action, image, more: events.emit("image", action, image, more)
    return Called(made, events)


class TestList:
    """GET /images/json"""

    def test_a_summary(self, call: Called) -> None:
        assert call("GET", "/images/json", filters={"reference": ["old"]}) == [
            {
                "Containers": -1,
                "Created": 978307200,
                "Id": OLD.id,
                "Labels": {"age": "old", "kind": "x"},
                "ParentId": "",
                "RepoDigests": [],
                "RepoTags": ["old:1"],
                "SharedSize": -1,
                "Size": 5,
            }
        ]

    def test_shared_sizes_and_older_versions(self, call: Called) -> None:
        call.version = (1, 41)
        [new, old] = call("GET", "/images/json", **{"shared-size": "1"})
        assert (new["SharedSize"], old["SharedSize"]) == (5, 5)
        assert (new["VirtualSize"], old["VirtualSize"]) == (1005, 5)

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ({"reference": ["old"]}, ["old:1"]),
            ({"reference": ["old:*"]}, ["old:1"]),
            ({"reference": ["o?d:[0-9]"]}, ["old:1"]),
            ({"reference": ["*"]}, ["old:1"]),
            ({"reference": ["*/*/new"]}, ["registry.test:5000/a/new:2"]),
            ({"reference": ["new"]}, []),
            ({"label": ["age=old", "kind"]}, ["old:1"]),
            ({"label": ["age=new"]}, []),
            ({"label!": ["age"]}, ["registry.test:5000/a/new:2"]),
            ({"before": ["registry.test:5000/a/new:2"]}, ["old:1"]),
            ({"since": ["old:1"]}, ["registry.test:5000/a/new:2"]),
            ({"until": ["2001-06-01"]}, ["old:1"]),
            ({"until": ["978307200"]}, []),
            ({"dangling": ["false"]}, ["registry.test:5000/a/new:2", "old:1"]),
            ({"dangling": {"true": True}}, []),
        ],
    )
    def test_filters(self, call: Called, filters: dict[str, Any], names: list[str]) -> None:
        assert call.names(filters=filters) == names

    @pytest.mark.parametrize("pattern", ["old[", "[]", "[a]b[^]", "old\\"])
    def test_a_pattern_that_is_none(self, call: Called, pattern: str) -> None:
        assert call("GET", "/images/json", filters={"reference": [pattern]}) == (500, "syntax error in pattern")

    @pytest.mark.parametrize(
        ("filters", "answer"),
        [
            ({"foo": ["a"]}, (400, "invalid filter 'foo'")),
            ({"before": ["nope"]}, (404, "No such image: nope:latest")),
            ({"dangling": ["maybe"]}, (400, "invalid filter 'dangling=[maybe]'")),
            ({"until": ["xx"]}, (500, 'failed to parse value as time or duration: "xx"')),
            ("bad", (400, "invalid filter")),
        ],
    )
    def test_filters_that_are_none(self, call: Called, filters: Any, answer: tuple[int, str]) -> None:
        assert call("GET", "/images/json", filters=filters) == answer

    def test_what_another_image_was_committed_on_is_shown_with_all(self, call: Called) -> None:
        call.images.commit(call.images.get("old:1"), io.BytesIO(layer(("x", b"", {}))), {}, "child:1")
        call.images.remove("old:1")
        assert OLD.id not in [image["Id"] for image in call("GET", "/images/json")]
        assert OLD.id in [image["Id"] for image in call("GET", "/images/json", all=1)]


class TestOne:
    """Inspect, history, tag, remove."""

    def test_inspect(self, call: Called) -> None:
        found = call("GET", "/images/registry.test:5000/a/new:2/json")
        assert found["Id"] == NEW.id
        assert found["RootFS"] == {"Type": "layers", "Layers": [digest(data) for data in NEW.layers]}
        assert found["Created"] == "2002-01-01T00:00:00Z"
        assert found["Config"]["Cmd"] == ["sh"]
        assert found["Config"]["Hostname"] == ""
        assert found["Config"]["Volumes"] is None
        assert found["Size"] == 1005
        assert "ContainerConfig" not in found

    def test_older_versions_say_which_container_an_image_was(self, call: Called) -> None:
        config = {"Image": "old:1", "Cmd": ["make"]}
        call.images.commit(None, io.BytesIO(BASE), {"Cmd": ["x"]}, "made:1", container="c" * 64, container_config=config)
        assert "Container" not in call("GET", "/images/made:1/json")
        call.version = (1, 44)
        found = call("GET", "/images/made:1/json")
        assert (found["Container"], found["ContainerConfig"]["Image"], found["ContainerConfig"]["Cmd"]) == (
            "c" * 64,
            "old:1",
            ["make"],
        )
        found = call("GET", "/images/old:1/json")
        assert "Container" not in found
        assert (found["ContainerConfig"]["Image"], found["ContainerConfig"]["Cmd"]) == ("", None)

    def test_history(self, call: Called) -> None:
        assert call("GET", "/images/registry.test:5000/a/new:2/history") == [
            {
                "Comment": "", "Created": 0, "CreatedBy": "layer 1", "Id": NEW.id, "Size": 1000,
                "Tags": ["registry.test:5000/a/new:2"],
            },
            {"Comment": "", "Created": 0, "CreatedBy": "layer 0", "Id": "<missing>", "Size": 5, "Tags": None},
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("query", "answer"),
        [
            ({"repo": "a/b", "tag": "c"}, 201),
            ({"repo": "A", "tag": "c"}, (400, "invalid reference format: repository name (library/A) must be lowercase")),
            ({"repo": "a", "tag": "b c"}, (400, "invalid tag format")),
            ({"repo": "a", "tag": "b@c"}, (400, "invalid tag format")),
            ({"repo": "sha256", "tag": "c"}, (400, "refusing to create an ambiguous tag using digest algorithm as name")),
            ({"repo": "a@sha256:" + "0" * 64}, (400, "refusing to create a tag with a digest reference")),
        ],
    )
    def test_tag(self, call: Called, query: dict[str, str], answer: Any) -> None:
        assert call("POST", "/images/old:1/tag", **query) == answer

    def test_remove(self, call: Called) -> None:
        call.uses = [Use("c" * 64, OLD.id, True)]
        assert call("DELETE", f"/images/{OLD.id}", force=1) == (
            409,
            f"conflict: unable to delete {OLD.id[7:19]} (cannot be forced) - image is being used by running container cccccccccccc",
        )
        assert call("DELETE", "/images/old:1", force=1) == [{"Untagged": "old:1"}]
        assert call("DELETE", "/images/nope") == (404, "No such image: nope:latest")

    def test_prune(self, call: Called) -> None:
        assert call("POST", "/images/prune") == {"ImagesDeleted": None, "SpaceReclaimed": 0}
        pruned = call("POST", "/images/prune", filters={"dangling": ["false"], "label": ["age=old"]})
        assert pruned == {"ImagesDeleted": [{"Untagged": "old:1"}, {"Deleted": OLD.id}], "SpaceReclaimed": 0}
        assert call("POST", "/images/prune", filters={"dangling": ["false"], "until": ["10h"]})["SpaceReclaimed"] == 1005
        assert call.names() == []


class TestArchives:
    """Load, save, import; and what needs a registry."""

    def test_load_tells_what_it_does(self, call: Called) -> None:
        made = Made([layer(("x", b"", {}))])
        first, second = lines(call("POST", "/images/load", packed(made.docker())))
        assert first["status"] == "Loading layer"
        assert second == {"stream": "Loaded image: made:1\n"}
        assert lines(call("POST", "/images/load", packed(Made([layer(("y", b"", {}))]).docker()), quiet=1))[-1] == second

    def test_load_of_garbage_is_told_in_the_stream(self, call: Called) -> None:
        text = "unexpected EOF"
        assert lines(call("POST", "/images/load", b"garbage")) == [{"errorDetail": {"message": text}, "error": text}]

    def test_save(self, call: Called) -> None:
        for path, query in (("/images/old:1/get", {}), ("/images/get", {"names": ["old:1"]})):
            assert json.loads(unpacked(call("GET", path, **query))["manifest.json"])[0]["RepoTags"] == ["old:1"]
        assert call("GET", "/images/nope/get") == (404, "No such image: nope")
        assert call("GET", "/images/nope:1/get") == (404, "reference does not exist")
        assert call("GET", "/images/get", names=["old:1"], platform='{"os":"linux","architecture":"none"}') == (
            500,
            "no suitable export target found for platform linux/none",
        )

    def test_import(self, call: Called) -> None:
        [answer] = lines(call("POST", "/images/create", BASE, fromSrc="-", repo="in", tag="1", changes=["CMD x"], message="m"))
        assert answer == {"status": call.images.get("in:1").id}
        assert call("POST", "/images/create", BASE, fromSrc="-", changes=["FOO x"]) == (400, "FOO is not a valid change command")
        assert call("POST", "/images/create", b"garbage", fromSrc="-")[1] == "unexpected EOF"

    def test_events(self, call: Called) -> None:
        call("POST", "/images/old:1/tag", repo="b")
        call("GET", "/images/old:1/get")
        call("DELETE", "/images/b")
        call("DELETE", "/images/old:1")
        heard = [
            (e.action, e.attributes["name"], e.attributes.get("age")) for e in call.events.subscribe(since=0, until=1 << 62)._past
        ]
        untagged = ("untag", OLD.id, "old")
        # Nobody knows the labels of what is gone.
        assert heard == [("tag", "b:latest", "old"), ("save", OLD.id, "old"), untagged, untagged, ("delete", OLD.id, None)]


NOON = timestamps.nanoseconds("2020-05-05T12:00:00Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "2020-05-05T11:50:00Z"),
        ("1h30m0.5s", "2020-05-05T10:29:59.5Z"),
        ("2020-01-01T10:00:00+02:00", "2020-01-01T08:00:00Z"),
        ("2020-01-01T10:00Z", "2020-01-01T10:00:00Z"),
        ("2020-01-01Z", "2020-01-01T00:00:00Z"),
        ("946684800.5", "2000-01-01T00:00:00.5Z"),
    ],
)
def test_points_in_time_of_filters(text: str, expected: str) -> None:
    assert timestamps.text(timestamps.moment(text, NOON)) == expected


@pytest.mark.parametrize("text", ["", "x", "1d", "-5", "2020-13-01Z", "2020-01-01T25Z", "1h 30m"])
def test_what_is_no_point_in_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        timestamps.moment(text, NOON)
