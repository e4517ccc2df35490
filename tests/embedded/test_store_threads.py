"""Images that are added, unpacked and removed at the same time: garbage is what nobody needs, and nothing else."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from pathlib import Path

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.store import Image, Store
from tests.embedded.archives import Made, layer, load, packed

ROUNDS = 12
SHARED = layer(("shared", b"x" * 2000, {}))


def test_garbage_is_collected_while_images_come_and_go(tmp_path: Path) -> None:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    snapshots = OverlaySnapshots(home)
    store = Store(home, snapshots)
    errors: list[Exception] = []
    done = threading.Event()

    def whole(image: Image) -> None:
        for one in image.layers:
            with store.open_layer(one) as tar:
                while tar.read(1 << 16):
                    pass

    def comes_and_goes(number: int) -> None:
        rng = random.Random(number)
        for turn in range(ROUNDS):
            name = f"mine-{number}:{turn}"
            # All share a layer, so that it is garbage at one moment and needed at the next.
            load(store, packed(Made([SHARED, layer((name, rng.randbytes(3000), {}))], [name]).docker()))
            with store.adding():
                lowers = snapshots.prepare(store.get(name).layers, store.open_layer)
                assert (Path(lowers[1]) / "shared").stat().st_size == 2000
            committed = store.commit(store.get(name), io.BytesIO(layer((f"c{turn}", b"c", {}))), {}, f"{name}-committed")
            whole(store.get(name))
            whole(committed)
            if turn % 2:
                store.remove(f"{name}-committed")
                store.remove(name)

    def collects() -> None:
        while not done.is_set():
            store.collect()
            store.prune()

    def kept(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  it is raised again by who waits
                errors.append(error)

        return run

    others = [threading.Thread(target=kept(collects)) for _ in range(2)]
    workers = [threading.Thread(target=kept(lambda number=number: comes_and_goes(number))) for number in range(4)]  # type: ignore[misc]
    for thread in (*others, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    for error in errors:
        raise error
    store.collect()
    assert len(store.images()) == 4 * ROUNDS
    assert store.check() == []
