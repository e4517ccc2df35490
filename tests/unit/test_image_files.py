"""Layers laid one on the other, against a model that is too simple to be wrong; dive's score against its definition, spelled out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.errors import EngineError, NotFound
from dockerlab.image.changes import changes_at
from dockerlab.image.comparison import Comparison
from dockerlab.image.files import Contents, File, repeated
from dockerlab.image.stacking import State, implied
from dockerlab.image.tree import changed_trees, tree_at
from dockerlab.image.waste import measure

MB = 1_000_000


def directory(path: str, mode: int = 0o755) -> File:
    return File(path, "directory", 0, mode)


def layer(*files: File, removed: tuple[str, ...] = (), opaque: tuple[str, ...] = ()) -> Contents:
    return Contents.of(files, removed, opaque)


BASE = layer(directory("a"), File("a/x", size=3, content=1), File("a/y", size=5, content=2), File("z", size=7, content=3))


def changed(*layers: Contents) -> dict[str, str]:
    """What the last one changed."""
    return {change.path: change.change for change in changes_at(layers, len(layers) - 1)}


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (layer(File("a/x", size=3, content=1)), {"a/x": "unchanged"}),
        (layer(File("a/x", size=3, content=9)), {"a/x": "modified"}),
        (layer(File("a/x", size=3, content=None)), {"a/x": "unchanged"}),
        (layer(File("a/x", size=4)), {"a/x": "modified"}),
        (layer(File("a/x", size=3, mode=0o600, content=1)), {"a/x": "modified"}),
        (layer(File("a/x", "symlink", target="y")), {"a/x": "modified"}),
        (layer(directory("a", 0o700)), {"a": "modified"}),
        (layer(File("a/new", "link", target="a/x")), {"a/new": "added"}),
        (layer(File("n/m/o")), {"n": "added", "n/m": "added", "n/m/o": "added"}),
        (layer(removed=("a",)), {"a": "removed", "a/x": "removed", "a/y": "removed"}),
        (layer(removed=("a/x", "not/there")), {"a/x": "removed"}),
        (
            layer(File("a/new"), directory("a"), opaque=("a",)),
            {"a": "unchanged", "a/new": "added", "a/x": "removed", "a/y": "removed"},
        ),
        (layer(File("a/x", size=3, content=1), removed=("a/x",)), {"a/x": "unchanged"}),
        (layer(File("a", size=1)), {"a": "modified", "a/x": "removed", "a/y": "removed"}),
        (layer(directory("z"), File("z/in")), {"z": "modified", "z/in": "added"}),
        (layer(File("z/in")), {"z": "modified", "z/in": "added"}),
        (layer(directory("")), {}),
    ],
)
def test_what_a_layer_changes(top: Contents, expected: dict[str, str]) -> None:
    assert changed(BASE, top) == expected


def test_a_path_that_a_tar_has_twice_counts_as_it_stands_last() -> None:
    assert changed(layer(File("a", size=9), File("a", size=2))) == {"a": "added"}
    assert layer(File("a", size=9), File("a", size=2)).size == 2


def test_the_tree_holds_sizes_changes_and_what_is_gone() -> None:
    tree = tree_at([BASE, layer(File("a/new", size=10), removed=("a/y",))], 1)
    assert (tree.root.size, tree.root.files) == (20, 3)
    assert tree.root.counts == (1, 0, 1)
    assert [(node.path, node.change, node.layer) for node in tree.walk()] == [
        ("a", "unchanged", 0),
        ("a/new", "added", 1),
        ("a/x", "unchanged", 0),
        ("a/y", "removed", 0),
        ("z", "unchanged", 0),
    ]
    assert tree["/a/new"].size == 10
    with pytest.raises(NotFound, match="no file 'a/q'"):
        tree["a/q"]


def test_a_tree_is_searched_and_filtered() -> None:
    tree = tree_at([BASE, layer(File("a/new", size=10), removed=("a/y",))], 1)
    assert [node.path for node in tree.only("added", "removed").walk()] == ["a", "a/new", "a/y"]
    assert tree.only("added").root.size == 10
    assert [node.path for node in tree.find("*w").walk()] == ["a", "a/new"]
    assert [node.path for node in tree.find("a").walk()] == ["a", "a/new", "a/x", "a/y"]
    assert [node.path for node in tree.find("A/N").walk()] == ["a", "a/new"]
    assert list(tree.find("nothing").walk()) == []


def test_waste_names_the_path_and_the_layers() -> None:
    layers = [
        layer(File("keep", size=MB), directory("cache"), File("cache/big", size=5 * MB), File("cache/small", size=MB)),
        layer(File("keep", size=2 * MB)),
        layer(removed=("cache",)),
    ]
    waste = measure(layers)
    assert (waste.stored, waste.wasted) == (9 * MB, 7 * MB)
    assert waste.layers == (7 * MB, 0, 0)
    assert [(found.path, found.wasted, found.layers) for found in waste.offenders] == [
        ("cache", 6 * MB, (0, 2)),
        ("keep", MB, (0, 1)),
    ]


def test_dives_score_of_an_image_by_hand() -> None:
    # /a is met with 10 and 30: 10 of 40. /d is a leaf of no layer but the third, where it is a whiteout of 5: 5 of 5. /d/f: 5 of 5.
    layers = [layer(File("a", size=10), directory("d"), File("d/f", size=5)), layer(File("a", size=30)), layer(removed=("d",))]
    waste = measure(layers)
    assert waste.efficiency == pytest.approx((10 + 5 + 5) / (40 + 5 + 5))
    assert waste.repeated == 40
    assert measure([]).efficiency == 1.0


def test_a_hostile_layer_cannot_make_a_tree_of_any_size() -> None:
    deep = layer(*(File(f"{place}/" + "d/" * 2000 + "f") for place in range(200)))
    with pytest.raises(EngineError, match="too many directories"):
        State().apply(deep)


def test_a_deep_tree_needs_no_deep_stack() -> None:
    tree = tree_at([layer(File("d/" * 1500 + "f", size=1))], 0)
    assert tree.root.size == 1
    assert len(list(tree.find("f").walk())) == 1501


def test_repeated_files_are_those_whose_bytes_decide() -> None:
    assert repeated([BASE, layer(File("a/x", size=3), File("a/y", size=6), File("z/", size=0))]) == {"a/x"}


def test_two_images_compared() -> None:
    config = {"architecture": "amd64", "config": {"Env": ["A=1", "B=2"], "Cmd": ["x"], "Labels": {"l": "1"}, "User": ""}}
    other = {"architecture": "amd64", "config": {"Env": ["A=1", "B=3", "C="], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}}}
    files = {"a": File("a", size=1), "b": File("b", size=2, content=1), "c": File("c")}
    others = {"b": File("b", size=2, content=2), "c": File("c"), "d": File("d", size=9)}
    found = Comparison.of(files, others, config, other)
    assert [(change.path, change.change) for change in found.files] == [("a", "removed"), ("b", "modified"), ("d", "added")]
    assert [tuple(setting) for setting in found.settings] == [
        ("Env B", "2", "3"),
        ("Env C", None, ""),
        ("ExposedPorts 80/tcp", None, "set"),
        ("Labels l", "1", None),
    ]
    assert (found.before, found.after) == (3, 11)


# against a model

_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_FILES = st.one_of(
    st.builds(File, _PATHS, st.just("file"), st.integers(0, 3), st.sampled_from([0o644, 0o600]), content=st.just(0)),
    st.builds(File, _PATHS, st.just("directory"), st.just(0), st.sampled_from([0o755, 0o700])),
    st.builds(File, _PATHS, st.just("symlink"), st.just(0), st.just(0o777), target=_PATHS),
)
_LAYERS = st.lists(
    st.builds(Contents.of, st.lists(_FILES, max_size=6), st.lists(_PATHS, max_size=2), st.lists(_PATHS, max_size=1)), max_size=5
)


def below(path: str, state: dict[str, File]) -> list[str]:
    return [found for found in state if found.startswith(f"{path}/")]


def model(state: dict[str, File], contents: Contents) -> dict[str, File]:
    state = dict(state)
    for path in contents.opaque:
        if path in state and state[path].kind == "directory":
            for gone in below(path, state):
                del state[gone]
    for path in contents.removed:
        for gone in [path, *below(path, state)]:
            state.pop(gone, None)
    for file in contents.files:
        parts = file.path.split("/")
        for parent in ("/".join(parts[:count]) for count in range(1, len(parts))):
            if parent not in state or state[parent].kind != "directory":
                state[parent] = implied(parent)
        if file.kind != "directory":
            for gone in below(file.path, state):
                del state[gone]
        state[file.path] = file
    return state


def dives_score(layers: list[Contents]) -> float:
    """filetree/efficiency.go, as its definition says, path by path."""
    met: dict[str, list[int]] = {}
    state: dict[str, File] = {}
    for contents in layers:
        stored = [file.path for file in contents.files]
        marks = [*contents.removed, *(f"{path}/.mark" for path in contents.opaque)]
        leaves = {file.path: file.size for file in contents.files if not any(other.startswith(f"{file.path}/") for other in stored)}
        inner = {mark.rpartition("/")[0] for mark in contents.removed}
        parents = {parent for path in inner for parent in [path, *("/".join(path.split("/")[:n]) for n in range(1, 9))]}
        leaves = {p: s for p, s in leaves.items() if p not in parents or {f.path: f for f in contents.files}[p].kind != "directory"}
        for mark in marks[len(contents.removed) :]:
            path = mark.rpartition("/")[0]
            if path not in leaves and not below(path, dict.fromkeys([*stored, *contents.removed], File(""))) and path not in stored:
                leaves[path] = 0
        leaves |= {f.path: f.size for f in contents.files if f.kind != "directory"}
        for path, size in leaves.items():
            met.setdefault(path, []).append(size)
        for path in contents.removed:
            is_directory = path in state and state[path].kind == "directory"
            met.setdefault(path, []).append(sum(state[found].size for found in below(path, state)) if is_directory else 0)
        state = model(state, contents)
    every = sum(map(sum, met.values()))
    return sum(map(min, met.values())) / every if every else 1.0


@settings(max_examples=400, deadline=None)
@given(_LAYERS)
def test_a_stack_of_layers_is_what_the_model_says(layers: list[Contents]) -> None:
    state, expected, before = State(), dict[str, File](), dict[str, File]()
    trees = list(changed_trees(layers))
    for index, contents in enumerate(layers):
        state.apply(contents)
        before, expected = expected, model(expected, contents)
        assert state.files() == expected
        tree = tree_at(layers, index)
        there = {node.path: node for node in tree.walk() if node.change != "removed"}
        assert {path: node.file for path, node in there.items()} == expected
        assert {node.path for node in tree.walk() if node.change == "removed"} == before.keys() - expected.keys()
        assert {path for path, node in there.items() if node.change == "added"} == expected.keys() - before.keys()
        same = {path for path in expected.keys() & before.keys() if expected[path].same(before[path])}
        assert {path for path, node in there.items() if node.change == "unchanged"} == same
        assert tree.root.size == sum(file.size for file in expected.values())
        counted = [change for change in changes_at(layers, index) if change.change != "unchanged"]
        assert sum(tree.root.counts) == len(counted)
        assert {(n.path, n.change) for n in trees[index].walk() if n.change != "unchanged"} == {(c.path, c.change) for c in counted}
    waste = measure(layers)
    assert waste.stored - waste.wasted == sum(file.size for file in expected.values())
    assert sum(waste.layers) == waste.wasted == sum(found.wasted for found in waste.offenders)
    assert waste.efficiency == pytest.approx(dives_score(layers))
    assert all(found.layers for found in waste.offenders)


def test_what_a_builder_notes_of_its_own_last_container_is_no_setting_of_the_image() -> None:
    one, other = (
        {"config": {"Hostname": name, "Image": f"sha256:{name}", "User": "me"}} for name in ("3d57fa7c0b51", "6ae3c507c4e0")
    )
    assert Comparison.of({}, {}, one, other).settings == ()
