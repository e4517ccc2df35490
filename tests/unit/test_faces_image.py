"""The faces of images: escaped, stable where they must be, and complete."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.errors import EngineError, NotFound, RegistryUnreachable
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.faces.shown import Shown
from dockerlab.image import Layer
from dockerlab.images import (
    ArchiveProgress,
    History,
    Image,
    Images,
    ImageView,
    Inspection,
    Loaded,
    Pruned,
    PullProgress,
    Pushed,
    PushProgress,
    Removed,
    Saved,
)
from dockerlab.images.refusal import refusal
from dockerlab.images.transfer import follow
from dockerlab.reference import parse
from dockerlab.wire.trace import Status

EVIL = "<script>alert(1)</script>"
ID = "sha256:" + "ab" * 32
CLIENT: Any = SimpleNamespace(images=None, api=None)


def image(*tags: str, **attrs: Any) -> Image:
    facts = {"Id": ID, "RepoTags": list(tags), "Size": 1_984_132, "Created": 1_795_493_615, "Os": "linux", "Architecture": "amd64"}
    return Image(facts | attrs, CLIENT)


def stable(html: str) -> str:
    return re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)


LAYERS = (
    Layer("sha256:1", "sha256:1", f"RUN echo {EVIL}", 1_000, 1_795_493_615),
    Layer(None, None, f"LABEL x={EVIL}", 0, 1_795_493_615),
)
CONFIG = {
    "Labels": {EVIL: EVIL},
    "Env": [f"A={EVIL}"],
    "Cmd": [EVIL],
    "Entrypoint": [EVIL],
    "User": EVIL,
    "WorkingDir": f"/{EVIL}",
    "ExposedPorts": {"5000/tcp": {}},
    "Volumes": {EVIL: {}},
}
VALUES: list[Shown] = [
    image("app:1", Config=CONFIG),
    image(EVIL),
    Images([image("app:1", Config=CONFIG), image(EVIL), image()]),
    Images([], EVIL),
    Inspection(EVIL, {"Config": CONFIG}),
    History(EVIL, LAYERS),
    ImageView(image("app:1", Config=CONFIG, RepoDigests=[EVIL]), LAYERS),
    PullProgress(EVIL, (Status(EVIL, EVIL, EVIL, 1, 2),)),
    Removed((EVIL,), (EVIL,), (EVIL,)),
    Pruned(False, (EVIL,), (EVIL,), 0),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_comes_from_outside_is_shown_and_never_run(value: Shown) -> None:
    html = value._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in str(value)
    assert repr(value)
    assert str(value)


@pytest.mark.parametrize(
    "value", [image("app:1"), ImageView(image("app:1"), LAYERS), History("app:1", LAYERS)], ids=["image", "show", "history"]
)
def test_text_and_the_stable_part_of_html_hold_no_id_size_or_time(value: Shown) -> None:
    for face in (repr(value), stable(value._repr_html_())):
        assert "abab" not in face
        assert "2026" not in face
        assert not re.search(r"\d [kM]?B\b", face.replace(".dockerlab", ""))
        assert "amd64" not in face


def test_an_image_is_called_as_it_was_asked_for() -> None:
    facts = {"Id": ID, "RepoTags": ["docker.io/library/b:1", "docker.io/library/a:1", "<none>:<none>"]}
    assert Image(facts, CLIENT).name == "a:1"
    assert Image(facts, CLIENT, "b:1").name == "b:1"
    assert Image(facts, CLIENT, "gone:1").name == "a:1"
    assert Image({"Id": ID, "RepoTags": None}, CLIENT).name == "abababababab"


def test_an_image_built_on_a_stand_in_is_none_itself() -> None:
    labels = {"Labels": {"dockerlab.stand-in": "true", "dockerlab.stand-in.for": "busybox", "dockerlab.stand-in.holds": "sh"}}
    for tag, is_one in (("busybox:latest", True), ("app:1", False)):
        found = image(tag, Config=labels)
        assert found.stand_in == ("sh" if is_one else None)
        assert ("stand-in" in str(found)) == ("stand-in" in found._repr_html_().partition('class="head"')[2]) == is_one


def test_a_list_without_images_says_what_to_do_next() -> None:
    assert repr(Images([])).startswith("No images. Fetch one: `%image pull")
    assert "<code>%image pull app</code>" in Images([], "app")._repr_html_()


def test_no_decimals_of_created_break_the_view() -> None:
    assert "2026-11-24" in str(image("a:1", Created="2026-11-24T12:00:00.123456789Z"))
    assert "0001" not in str(image("a:1", Created="0001-01-01T00:00:00Z"))


def test_the_messages_of_a_pull_become_layers() -> None:
    messages: list[dict[str, Any]] = [
        {"status": "Pulling from library/busybox", "id": "latest"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": "Already exists", "progressDetail": {}, "id": "b"},
        {"status": "Downloading", "progressDetail": {"current": 5, "total": 10}, "id": "a"},
        {"status": "Download complete", "progressDetail": {}, "id": "a"},
        {"status": "Extracting", "progressDetail": {"current": 3, "units": "s"}, "id": "a"},
        {"status": "Status: Downloaded newer image for busybox:latest"},
    ]
    layers: dict[str, Status] = {}
    seen = []
    for message in messages:
        layers = follow(layers, message, "busybox:latest", 1.0)
        seen.append([(layer.id, layer.current, layer.total) for layer in layers.values()])
    assert seen[3] == [("a", 5, 10), ("b", 0, 0)]
    assert seen[-1] == [("a", 10, 10), ("b", 0, 0)]
    assert [layer.completed for layer in layers.values()] == [None, 1.0]
    layers = follow(layers, {"status": "Pull complete", "progressDetail": {}, "id": "a"}, "busybox:latest", 2.0)
    assert layers["a"].completed == 2.0


def test_the_messages_of_a_push_become_layers() -> None:
    messages: list[dict[str, Any]] = [
        {"status": "The push refers to repository [r.test/app]"},
        {"status": "Preparing", "progressDetail": {}, "id": "a"},
        {"status": "Preparing", "progressDetail": {}, "id": "b"},
        {"status": "Pushing", "progressDetail": {"current": 12, "total": 10}, "id": "a"},
        {"status": "Layer already exists", "progressDetail": {}, "id": "b"},
        {"status": "Mounted from library/x", "progressDetail": {}, "id": "c"},
        {"status": "1: digest: sha256:0 size: 5"},
    ]
    layers: dict[str, Status] = {}
    for message in messages:
        layers = follow(layers, message, "r.test/app:1", 1.0)
    progress = PushProgress("r.test/app:1", tuple(layers.values()))
    assert repr(progress) == "r.test/app:1: pushing"
    assert str(progress).splitlines()[0] == "r.test/app:1: pushing   2 of 3 layers   10 B of 10 B"
    assert progress._repr_html_().count('class="cached">◇') == 2
    assert [layer.completed for layer in layers.values()] == [None, 1.0, 1.0]
    assert repr(PushProgress("r.test/app:1", tuple(layers.values()), done=True)) == "r.test/app:1: pushed"


def test_what_podmans_own_api_says_of_a_pull() -> None:
    said = {"stream": f"Copying blob sha256:{'ab' * 32}\n"}
    [layer] = follow({}, said, "r.test/app:1", 1.0).values()
    assert (layer.id, layer.name, layer.total) == ("ab" * 6, "Copying", 0)


def test_what_a_save_and_a_load_say() -> None:
    progress = ArchiveProgress("<app>.tar", "saving", 5_000_000, 10_000_000)
    assert str(progress).rstrip() == "<app>.tar: saving   5.0 MB of about 10.0 MB"
    assert "&lt;app&gt;.tar" in progress._repr_html_()
    assert "50 %" in progress._repr_html_()
    assert repr(Saved(Path("/tmp/x.tar"), ("a:1", "b:1"), 5)) == "saved a:1, b:1 to x.tar"
    loaded = Loaded(Path("/tmp/x.tar"), (image("a:1"), image("b:1")))
    assert repr(loaded) == "from x.tar:\n  loaded image a:1\n  loaded image b:1"
    assert "<strong>b:1</strong>" in loaded._repr_html_()
    pushed = Pushed("r.test:5000/app:1", "sha256:12")
    assert pushed.pinned == "r.test:5000/app@sha256:12"
    assert "sha256:12" in str(pushed)
    assert "sha256:12" not in repr(pushed)


@pytest.mark.parametrize(
    ("said", "kind", "message", "hint"),
    [
        (
            "denied: requested access to the resource is denied",
            EngineError,
            "the registry does not let you",
            "%image tag x:1 USER/x:1",
        ),
        ('Get "https://r/v2/": http: server gave HTTP response to HTTPS client', RegistryUnreachable, "has no TLS", "insecure"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", RegistryUnreachable, "does not answer", "%image prepare registry:2"),
        ("the disk is on fire", EngineError, "the disk is on fire", None),
    ],
)
def test_why_a_registry_did_not_take_an_image(said: str, kind: type[EngineError], message: str, hint: str | None) -> None:
    error = refusal(parse("x:1"), said, doing="push", problems=["the helper is asleep"])
    assert type(error) is kind
    assert message in str(error)
    assert "cannot push 'x:1'" in str(error)
    if hint:
        assert hint in str(error.hint)
        assert error.evidence[-1] == "the helper is asleep"


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            NotFound,
            "has no such image, or it is private",
        ),
        ("manifest for x:1 not found: manifest unknown: manifest unknown", NotFound, "has no such image, or it is private"),
        (
            "initializing source docker://x:1: reading manifest 1 in docker.io/library/x: manifest unknown",
            NotFound,
            "has no such image",
        ),
        (
            "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required",
            NotFound,
            "no such image",
        ),
        ('Get "https://r/v2/": dial tcp: lookup r on 10.0.0.1:53: no such host', RegistryUnreachable, "does not answer"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", RegistryUnreachable, "does not answer"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", RegistryUnreachable, "does not trust"),
        ("writing blob: happened during read: unexpected EOF", RegistryUnreachable, "broke the connection off"),
        ("peer closed connection without sending complete message body", RegistryUnreachable, "broke the connection off"),
        ("read tcp 127.0.0.1:1: read: connection reset by peer", RegistryUnreachable, "broke the connection off"),
        ("toomanyrequests: You have reached your pull rate limit.", EngineError, "limits how often one may pull"),
        ("no matching manifest for linux/s390x in the manifest list entries", NotFound, "not there for platform linux/s390x"),
        ("the disk is on fire", EngineError, "cannot pull 'x:1': the disk is on fire"),
    ],
)
def test_why_a_registry_did_not_give_an_image(said: str, kind: type[EngineError], message: str) -> None:
    error = refusal(parse("x:1"), said, "linux/s390x")
    assert type(error) is kind
    assert message in str(error)
    assert "cannot pull 'x:1'" in str(error)
