"""The layer that COPY makes: the same bytes each time, what the cache goes by, holes, attributes, many files; and files for mounts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from dockerlab.engine.building import copying
from dockerlab.engine.rootfs.directory_view import DirectoryView
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Entry, Writer, entries
from tests.embedded.archives import File
from tests.embedded.building import TIME, Bench, Make, dated, instruction, times


class TestSameBytes:
    """A layer is a function of what is copied."""

    def test_the_same_files_in_another_order_make_the_same_layer(self, make: Make) -> None:
        files: list[File] = [("s/b", b"B", {}), ("s/a", b"A", {}), ("s/c/d", b"D", {})]
        one, other = make(files), make(files[::-1])
        assert one.layer("COPY s /x/") == other.layer("COPY s /x/")
        assert one.digest("COPY s /x/") == other.digest("COPY s /x/")

    def test_directories_are_as_old_as_the_newest_in_them(self, make: Make) -> None:
        bench = make([("s/b", b"B", {"mtime": TIME + 5}), ("s/a", b"A", {}), ("one", b"", {})])
        assert set(times(bench.layer("COPY s /x/y")).items()) >= {("x", TIME + 5), ("x/y", TIME + 5), ("x/y/a", TIME)}
        assert set(times(bench.layer("COPY one /x/y/one")).values()) == {TIME}

    def test_nothing_is_younger_than_the_epoch(self, bench: Bench) -> None:
        found = times(bench.layer("COPY dir /x/y", epoch=7))
        assert set(found.values()) == {7}
        assert len(found) == 7

    def test_a_heredoc_has_no_time_of_its_own(self, bench: Bench) -> None:
        assert set(times(bench.layer("COPY <<EOF /a/b\nx\nEOF")).values()) == {0}


class TestDigest:
    """What the cache goes by."""

    @pytest.mark.parametrize(
        "change",
        [
            {"content": b"Y"},
            {"mode": 0o600},
            {"type": tarfile.SYMTYPE, "linkname": "x"},
        ],
    )
    def test_it_changes_with_a_file(self, make: Make, change: dict[str, object]) -> None:
        fields = {name: value for name, value in change.items() if name != "content"}
        content = change.get("content", b"X")
        assert isinstance(content, bytes)
        before = make([("s/f", b"X", {})]).digest("COPY s /")
        content = b"" if "type" in fields else content
        assert make([("s/f", content, fields)]).digest("COPY s /") != before
        assert make([("s/g", b"X", {})]).digest("COPY s /") != before

    def test_it_does_not_change_with_times_and_owners_of_the_sender(self, make: Make) -> None:
        before = make([("s/f", b"X", {})]).digest("COPY s /")
        assert make([("s/f", b"X", {"mtime": 5, "uid": 1000, "gid": 1000})]).digest("COPY s /") == before
        assert make([("s/f", b"X", {}), ("other", b"", {})]).digest("COPY s /") == before

    def test_it_changes_with_the_owner_of_what_a_stage_has(self, make: Make) -> None:
        bench = make()
        views = [
            bench.archive(dated(("f", b"X", {"uid": uid})))
            for uid in (0, 5)
        ]  # fmt: skip
        assert len({bench.digest("COPY --from=0 f /", view) for view in views}) == 2

    def test_the_destination_is_not_looked_at(self, bench: Bench) -> None:
        class Untouchable:
            def __getattr__(self, name: str) -> object:
                raise AssertionError(name)

        with copying.plan(instruction("COPY --chown=joe dir /to"), bench.context(), Untouchable(), "/") as plan:  # type: ignore[arg-type]
            assert len(plan.digest) == 64

    def test_words_of_the_history(self, bench: Bench) -> None:
        words = {}
        for text in ("COPY a.txt /", "COPY dir /", "COPY *.txt /", "COPY a.t* /"):
            with bench.plan(text) as plan:
                words[text] = plan.word.partition(":")[0]
        assert words == {"COPY a.txt /": "file", "COPY dir /": "dir", "COPY *.txt /": "multi", "COPY a.t* /": "file"}


class TestHoles:
    """A sparse file of a terabyte costs what it holds."""

    def test_of_a_context(self, make: Make) -> None:
        bench = make()
        sparse = io.BytesIO()
        writer = Writer(sparse)
        writer.add(Entry("big", size=1 << 40, sparse=((1 << 30, 3),)), io.BytesIO(b"abc"))
        writer.close()
        context = bench.archive(sparse.getvalue())
        with context.open("big") as file:
            file.seek((1 << 30) - 2)
            assert file.read(2) + file.read(10) == b"\0\0abc"
        data = bench.layer("COPY --from=0 big /x/", source=context)
        assert len(data) < 20_000
        found = {entry.path: (entry.size, entry.sparse) for entry, _ in entries(io.BytesIO(data))}
        assert found["x/big"] == (1 << 40, ((1 << 30, 3),))

    def test_of_a_directory(self, make: Make, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        with (folder / "big").open("wb") as file:
            file.truncate(1 << 30)
        view = DirectoryView(folder)
        assert len(make().layer("COPY --from=0 big /x/", source=view)) < 20_000
        view.close()


def test_attributes_are_kept(make: Make) -> None:
    capability = "\x01\x00\x00\x02\x00\x20\x00\x00"
    fields = {"pax_headers": {"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.trusted.overlay.opaque": "y"}}
    bench = make([("ping", b"x", fields)])
    with tarfile.open(fileobj=io.BytesIO(bench.layer("COPY ping /bin/"))) as tar:
        assert tar.getmember("bin/ping").pax_headers == {"SCHILY.xattr.security.capability": capability}


def test_a_name_that_is_a_whiteout_in_a_layer_is_refused(make: Make) -> None:
    bench = make([("s/.wh.passwd", b"", {}), ("s/.wh..wh..opq", b"", {})])
    with pytest.raises(EngineError, match="cannot be in an image"):
        bench.copy("COPY s /etc/")


class TestUnpack:
    """Files for `RUN --mount=type=bind`."""

    def test_a_directory(self, bench: Bench, tmp_path: Path) -> None:
        place = tmp_path / "place"
        copying.unpack(bench.context(), "", place)
        assert (place / "dir" / "sub" / "y").read_bytes() == b"Y"
        assert (place / "dir" / "sub" / "y").stat().st_mode & 0o7777 == 0o4755
        assert (place / "hd" / "1").samefile(place / "hd" / "2")
        assert (place / "lnd").readlink() == Path("dir")
        assert (place / "a.txt").stat().st_mtime == TIME

    def test_a_file(self, bench: Bench, tmp_path: Path) -> None:
        copying.unpack(bench.context(), "dir/x.txt", tmp_path / "place")
        assert (tmp_path / "place").read_bytes() == b"X"

    def test_nothing_is_written_through_a_link(self, make: Make, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        bench = make([("s", str(outside), {}), ("s/evil", b"E", {}), ("t", "../../../../../../tmp", {})])
        copying.unpack(bench.context(), "", tmp_path / "place")
        assert not [*outside.iterdir()]
        assert (tmp_path / "place" / "s").is_symlink()

    def test_its_digest_is_that_of_its_files(self, bench: Bench) -> None:
        context = bench.context()
        assert copying.digest(context, "dir") != copying.digest(context, "p")
        assert copying.digest(context, "lnd") != copying.digest(context, "dir")
        assert copying.digest(context, "dir") == copying.digest(bench.context(), "dir")


def test_many_files_in_one_layer(make: Make) -> None:
    files: list[File] = [(f"s/{number % 20}/{number}", b"%d" % number, {}) for number in range(2000)]
    found = make(files).copy("COPY s /x")
    assert len(found) == 2000 + 20 + 1
    assert found == sorted(found, key=lambda line: line.split(" ")[0].rstrip("/"))
