"""Images that are only a step of a build, in a store: who sees them, what makes them images like others, and what goes with what."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.engine.api.build import prune
from dockerlab.engine.building.caches import Caches
from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.home import write_json
from dockerlab.engine.http.types import Answer, Query
from dockerlab.engine.sessions.packs import Contexts
from dockerlab.engine.store import Image, Store, Use, records
from dockerlab.engine.store.kinship import between, cache_on, shown
from dockerlab.errors import Conflict
from tests.embedded.archives import Made, layer, load, packed, store

BASE = Made([layer(("etc", None, {}), ("etc/motd", b"hello", {}))], ["base:1"])


@pytest.fixture
def images(tmp_path: Path) -> Store:
    """A store with one image, base:1."""
    return with_base(tmp_path)


def with_base(path: Path, notes: list[tuple[str, str]] | None = None) -> Store:
    made = store(path, notes)
    load(made, packed(BASE.docker()))
    return made


def add(images: Store, name: str, parent: Image | None, *, is_cache: bool = True) -> Image:
    """An image with a layer of a hundred bytes for each letter of its name."""
    with images.adding():
        content = images.add_layer(io.BytesIO(layer((name, name.encode() * 100, {}))))
        below = images.contents_of(parent) if parent else []
        config = {"os": "linux", "architecture": "amd64", "config": {"Labels": {"name": name}}}
        return images.add(config, [*below, content], parent=parent.id if parent else "", key=f"key of {name}", is_cache=is_cache)


def names(images: Store) -> set[str]:
    """Those that are shown."""
    return {image.labels.get("name", "base") for image in shown(images.images())}


def there(images: Store) -> set[str]:
    return {image.labels.get("name", "base") for image in images.images() if image.labels.get("kind") != "made"}


def test_a_step_is_not_shown_until_it_is_more(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    assert step.is_cache
    assert images.built("key of step") == step
    assert images.get(step.id) == images.get(step.id[7:19]) == step
    assert names(images) == {"base"}
    assert not images.show(step).is_cache
    assert names(images) == {"base", "step"}


def test_a_name_makes_an_image_of_it_also_when_it_is_gone_again(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    images.tag(step, "named:1")
    images.tag("base:1", "named:1")
    assert not images.get(step.id).is_cache
    assert names(images) == {"base", "step"}


def test_what_somebody_loads_is_no_step_whatever_it_was(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    archive = b"".join(images.save([step.id]))
    load(images, archive)
    assert not images.get(step.id).is_cache


def test_what_is_there_already_does_not_become_a_step(images: Store) -> None:
    made = add(images, "made", images.get("base:1"), is_cache=False)
    assert not add(images, "made", images.get("base:1")).is_cache
    assert names(images) == {"base", "made"}
    assert images.built("key of made") == images.get(made.id)


def test_another_process_sees_the_same(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    other = Store(images.home)
    assert other.get(step.id).is_cache
    other.show(step)
    assert not images.get(step.id).is_cache


def test_what_is_lost_or_damaged_of_the_record(images: Store) -> None:
    """A step is an image then: nothing is lost with it."""
    step = add(images, "step", images.get("base:1"))
    path = images.home.root / "images.json"
    text = json.loads(path.read_text())
    assert text["cache"] == [step.id]
    wrong: tuple[object, ...] = (None, {}, "x", [1, None])
    for damaged in wrong:
        path.write_text(json.dumps({**text, "cache": damaged}))
        assert not images.get(step.id).is_cache, damaged
    path.unlink()
    assert names(images) == {"base", "step"}


def test_a_record_of_an_image_that_never_came_counts_for_nothing(images: Store) -> None:
    """A process was killed between the two files."""
    step = add(images, "step", images.get("base:1"))
    archive = b"".join(images.save([step.id]))
    path = images.home.root / "images.json"
    text = path.read_text()
    images.remove(step.id)
    assert json.loads(path.read_text())["cache"] == []
    path.write_text(text)
    assert images.check() == []
    load(images, archive)
    assert not images.get(step.id).is_cache


def test_an_image_on_which_only_steps_stand_is_shown(images: Store) -> None:
    base = images.get("base:1")
    made = add(images, "made", base, is_cache=False)
    add(images, "step", made)
    assert names(images) == {"base", "made"}
    result = add(images, "result", images.get(made.id), is_cache=False)
    assert names(images) == {"base", "result"}
    by_id = {image.id: image for image in images.images()}
    assert between(by_id) == {base.id, made.id}
    assert cache_on(images.get(result.id), by_id, ()) == []


def test_steps_are_not_in_the_way_of_an_image(tmp_path: Path) -> None:
    notes: list[tuple[str, str]] = []
    images = with_base(tmp_path, notes)
    made = add(images, "made", images.get("base:1"), is_cache=False)
    one = add(images, "one", made)
    two = add(images, "two", one)
    other = add(images, "other", made)
    with pytest.raises(Conflict, match="image has dependent child images"):
        images.remove(made.id, uses=lambda: [Use("c" * 64, two.id, False)])
    removed = [record["Deleted"] for record in images.remove(made.id)]
    assert [id for id in removed if id in (made.id, one.id, two.id, other.id)][-1] == made.id
    assert {image.id for image in images.images()} == {images.get("base:1").id}
    assert [note for note in notes if note[0] == "delete"] == [("delete", made.id)]


def test_a_name_that_goes_takes_an_image_and_its_steps(images: Store) -> None:
    base = images.get("base:1")
    add(images, "step", base)
    images.tag(base, "second:1")
    assert images.remove("second:1") == [{"Untagged": "second:1"}]
    assert {"Deleted": base.id} in images.remove("base:1")
    assert images.images() == []
    assert [*images.blobs] == []


def test_an_image_stands_on_steps_like_on_others(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    result = add(images, "result", step, is_cache=False)
    with pytest.raises(Conflict, match="image has dependent child images"):
        images.remove(step.id, force=True)
    images.remove(result.id)
    assert there(images) == set()


def test_a_step_that_goes_takes_no_image_along_that_is_seen(images: Store) -> None:
    made = add(images, "made", images.get("base:1"), is_cache=False)
    low = add(images, "low", made)
    top = add(images, "top", low)
    images.remove(top.id)
    assert there(images) == {"made"}


def test_pruning_takes_steps(images: Store) -> None:
    base = images.get("base:1")
    made = add(images, "made", base, is_cache=False)
    low = add(images, "low", made)
    add(images, "top", low)
    kept = add(images, "kept", base)
    _, freed = images.prune(wanted=lambda image: image.is_cache, uses=lambda: [Use("c" * 64, kept.id, True)])
    assert freed == 600
    assert there(images) == {"made", "kept"}
    add(images, "low", images.get(made.id))
    _, freed = images.prune()
    assert freed == 400 + 300 + 400
    assert there(images) == set()


def test_pruning_steps_leaves_those_on_which_an_image_stands(images: Store) -> None:
    step = add(images, "step", images.get("base:1"))
    result = add(images, "result", step, is_cache=False)
    add(images, "beside", step)
    images.tag(result, "result:1")
    images.prune(wanted=lambda image: image.is_cache)
    assert there(images) == {"step", "result"}


@pytest.mark.parametrize("change", ["removed", "named"])
def test_nobody_sees_a_step_between_the_two_files(images: Store, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Whoever lists images meanwhile, or after a crash there."""
    step = add(images, "step", images.get("base:1"))
    seen: list[list[tuple[str, ...]]] = []

    def looked(path: Path, value: object) -> None:
        write_json(path, value)
        seen.append([image.references for image in shown(Store(images.home).images())])

    monkeypatch.setattr("dockerlab.engine.store.records.write_json", looked)
    if change == "removed":
        images.remove(step.id)
    else:
        images.tag(step, "named:1")
    assert len(seen) == 2
    assert () not in seen[0] + seen[1]


def test_nobody_sees_a_step_of_which_only_one_file_was_read_before_it_went(images: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    step = add(images, "step", images.get("base:1"))
    other = Store(images.home)
    assert len(other.images()) == 2
    images.tag("base:1", "second:1")
    read = records.beside

    def removed(root: Path) -> Mapping[str, Any]:
        monkeypatch.undo()
        images.remove(step.id)
        return read(root)

    monkeypatch.setattr(records, "beside", removed)
    assert [image.labels.get("name", "base") for image in other.images()] == ["base"]


def test_a_hidden_image_goes_with_the_last_that_hid_it_though_steps_stand_on_it(images: Store) -> None:
    """Of Docker's classic builder, or of a version that had no list of cache. Otherwise it came into sight."""
    hidden = add(images, "hidden", images.get("base:1"), is_cache=False)
    result = add(images, "result", hidden, is_cache=False)
    step = add(images, "step", hidden)
    images.tag(result, "result:1")
    assert names(images) == {"base", "result"}
    in_use = [Use("c" * 64, step.id, True)]
    images.remove("result:1", uses=lambda: in_use)
    assert there(images) == {"hidden", "step"}
    result = add(images, "result", hidden, is_cache=False)
    images.remove(result.id)
    assert there(images) == set()


def test_pruning_a_list_of_them_leaves_no_hidden_image_behind(images: Store) -> None:
    hidden = add(images, "hidden", images.get("base:1"), is_cache=False)
    add(images, "result", hidden, is_cache=False)
    add(images, "step", hidden)
    images.prune()
    assert there(images) == set()


def test_a_result_of_the_moment_is_not_pruned_as_a_step(images: Store) -> None:
    """A build ends while the cache is pruned."""
    step = add(images, "step", images.get("base:1"))
    gone = add(images, "gone", images.get("base:1"))

    class Ending(Store):
        def images(self) -> list[Image]:
            found = super().images()
            self.show(step)
            return found

    answer = pruned(Ending(images.home))
    assert there(images) == {"step"}
    assert gone.id.removeprefix("sha256:") in answer


def pruned(images: Store, **filters: list[str]) -> str:
    """What `POST /build/prune` says, of an engine with that store."""
    builder = SimpleNamespace(caches=Caches(images.home), contexts=Contexts(images.home))
    engine: Any = SimpleNamespace(home=images.home, store=images, builder=builder, uses=list)
    request: Any = SimpleNamespace(query=Query({"filters": [json.dumps(filters)]}))
    answer = prune(engine, request)
    assert isinstance(answer, Answer)
    return str(answer)


def test_steps_are_pruned_by_labels_as_system_prune_asks(images: Store) -> None:
    builder = Caches(images.home)
    with builder.using("c", "shared", lambda path: None, Cancellation()):
        pass
    low = add(images, "low", images.get("base:1"))
    add(images, "high", low)
    add(images, "beside", low)
    pruned(images, label=["other"])
    assert there(images) == {"low", "high", "beside"}
    pruned(images, label=["name=high"])
    assert there(images) == {"low", "beside"}
    assert len(builder.all()) == 1, "it has no label"
    pruned(images, **{"label!": ["name=low"]})
    assert there(images) == {"low"}
    assert builder.all() == []
