"""The faces of layers: escaped, bounded, and the same on every engine where they must be."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab import images
from dockerlab.builds.record import Trace
from dockerlab.dockerfile import parse
from dockerlab.errors import UsageError
from dockerlab.faces.explorer_live import STYLE, LiveFace, path_of, token
from dockerlab.faces.markup import END_VOLATILE, VOLATILE
from dockerlab.image import layers
from dockerlab.image.archive import Described
from dockerlab.image.comparison import Comparison
from dockerlab.image.files import Contents, File
from dockerlab.images import Exploration, ImagesDiff, exploring
from dockerlab.notebook import image_magic
from dockerlab.notebook.live_explorer import LiveExplorer
from dockerlab.wire.trace import Vertex

EVIL = "<script>alert(1)<b>"
CONFIG = {"history": [{"created_by": f"RUN {EVIL}"}, {"created_by": "RUN two"}], "rootfs": {"diff_ids": ["sha256:1", "sha256:2"]}}


def exploration(*contents: Contents) -> Exploration:
    described = Described((), CONFIG, ())
    return Exploration("app:1", described, layers(described.history, described.diff_ids), contents)


def stable(html: str) -> str:
    return re.sub(f"{VOLATILE}.*?{END_VOLATILE}", "", html, flags=re.DOTALL)


SMALL = exploration(
    Contents.of([File(f"dir/{EVIL}", size=2_000), File("new\nline\x1b[31m", size=10), File("l", "symlink", target=EVIL)]),
    Contents.of([File("other\udce9")], [f"dir/{EVIL}"]),
)


@pytest.mark.parametrize(
    "html",
    [
        SMALL._repr_html_(),
        SMALL.view(2)._repr_html_(),
        SMALL.files._repr_html_(),
        ImagesDiff(
            ("a", EVIL),
            Comparison.of({}, {EVIL: File(EVIL)}, {}, {"config": {"Labels": {EVIL: EVIL}}}),
            (1, 2),
            0,
        )._repr_html_(),
    ],
    ids=["image", "layer", "files", "diff"],
)
def test_hostile_names_are_shown_and_never_run(html: str) -> None:
    assert EVIL not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    html.encode()


def test_a_base_image_s_layer_is_no_line_of_the_dockerfile() -> None:
    text = "FROM node AS make\nCOPY . .\nRUN make\nFROM base\nCOPY --from=make /out /srv\nRUN --network=none true\n"
    trace = Trace(parse(text), ("app:1",), "buildkit", "", 0.0)
    for index, node in enumerate(parse(text).nodes):
        trace.apply(Vertex(str(index), node.text, started=0.0, completed=1.0))
    made = ("COPY . . # buildkit", "COPY /out /srv # buildkit", "RUN /bin/sh -c true # buildkit")
    ids = [f"sha256:{number}" for number in range(3)]
    described = Described((), {"history": [{"created_by": line} for line in made], "rootfs": {"diff_ids": ids}}, ())
    found = Exploration("app:1", described, layers(described.history, ids), (Contents(),) * 3)
    assert found.called("app:1", trace.snapshot(1.0, "done")).written == {1: 5, 2: 6}


def test_the_magic_knows_the_build_of_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    record: Any = object()
    image = SimpleNamespace(id="sha256:f", build=None)
    session: Any = SimpleNamespace(built={"sha256:f": record}, client=None, namespace={}, is_in_page=False)
    monkeypatch.setattr(images, "get", lambda name, *, client: image)
    monkeypatch.setattr(exploring, "explored", lambda found, client: found.build)
    assert image_magic.magic(session, "explore app") is record


def test_a_live_view_begins_with_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def begun(**asked: Any) -> tuple[int | None, frozenset[str], str]:
        face = LiveExplorer(SimpleNamespace(is_in_page=False), SMALL, **asked)._face  # type: ignore[arg-type]
        return face.layer, face.kinds, face.find

    assert begun() == (1, frozenset(), "")
    assert begun(layer=1, changed=["removed"]) == (0, frozenset(["removed"]), "")
    assert begun(find="other") == (None, frozenset(), "other")
    with pytest.raises(UsageError, match="has no layer 3"):
        begun(layer=3)


def test_a_live_view_shows_what_is_open_and_no_name_is_markup() -> None:
    tree = SMALL.tree(1)
    paths = [node.path for node in tree.walk()]
    assert [path_of(token(path)) for path in paths] == paths
    closed = LiveFace(SMALL, tree, 1)._live_html()
    html = LiveFace(SMALL, tree, 1, frozenset(("removed",)), "<b>", frozenset(paths))._live_html()
    for shown in (closed, html):
        shown.encode()
        assert "<b>" not in shown.replace(STYLE, "")
        assert not re.search(r"<script|on\w+=", shown)
    assert closed.count("data-key=") < html.count("data-key=") == len(paths) + len(SMALL.layers) + 1 + 4
    assert html.count('aria-pressed="true"') == 2, "a layer and a kind"
    assert "data-action" not in LiveFace(SMALL, tree)._repr_html_()


def test_what_an_image_shows() -> None:
    assert repr(SMALL) == f"layers of app:1\n  RUN {EVIL}\n  RUN two"
    assert "2.0 kB unseen · efficiency 0.5 %" in str(SMALL)
    assert f"2.0 kB   /dir/{EVIL}   1 RUN {EVIL} → 2 RUN two" in str(SMALL)
    html = SMALL._repr_html_()
    assert "unseen" in html
    # What hangs on the base image is volatile.
    assert "kB" not in stable(html)
    assert "RUN two" in stable(html)


def test_what_a_layer_shows() -> None:
    tree = SMALL.view(2)
    assert repr(tree) == f"app:1, layer 2: RUN two\n  - /dir/{EVIL}\n  + /other\N{REPLACEMENT CHARACTER}"
    assert "+ 1 added · - 1 removed" in str(tree)
    assert f"-   2.0 kB    {EVIL}" in str(tree)
    assert repr(SMALL.view(find="other")) == "app:1, all files\n    /other\N{REPLACEMENT CHARACTER}"


def test_a_large_directory_is_folded() -> None:
    many = [File(f"many/{place:05}", size=place) for place in range(5_000)]
    tree = exploration(Contents.of(many), Contents.of([File("many/00000", size=1)])).view(2)
    html = tree._repr_html_()
    assert html.count("<code>") < 100
    assert "… 4,940 more" in html
    # What changed is shown, however small; then the largest.
    assert "~ <code>00000</code>" in html
    assert "<code>04999</code>" in html
    assert len(str(tree).splitlines()) < 100


def test_a_deep_directory_ends_somewhere() -> None:
    tree = exploration(Contents.of([File("d/" * 1500 + "f")]), Contents()).view(1)
    assert tree._repr_html_().count("<details") < 50
    assert "… 1 more" in str(tree)
    assert len(str(exploration(Contents.of([File("a/b/c")]), Contents()).view(1, depth=1)).splitlines()) == 3


def test_what_cannot_be_viewed_is_refused() -> None:
    for number in (0, 3):
        with pytest.raises(UsageError, match=f"has no layer {number}"):
            SMALL.view(number)
    with pytest.raises(UsageError, match="seen from one layer"):
        SMALL.view(changed=["added"])
    with pytest.raises(UsageError, match="no change is called 'gone'"):
        SMALL.files.only("gone")  # type: ignore[arg-type]


def test_what_differs_is_named() -> None:
    before = {"a": File("a", size=1, mode=0o644), "b": File("b", size=5)}
    after = {"a": File("a", size=1, mode=0o600), "b": File("b", size=7), "c": File("c", size=3)}
    diff = ImagesDiff(("x", "y"), Comparison.of(before, after, {}, {"os": "linux"}), (1, 2), 1)
    assert repr(diff) == "from x to y\n  os: (none) → linux\n  ~ /a\n  ~ /b\n  + /c"
    assert "1 B, other mode" in str(diff)
    assert "5 B → 7 B" in str(diff)
    assert "1 of 1 and 2 layers shared" in str(diff)
