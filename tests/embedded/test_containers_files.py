"""A container's files: volumes, binds, copies, commits. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import io
import shutil
import socket
import tarfile
import time
from pathlib import Path

import pytest

from tests.embedded.containing import Client, Engine

LOOP = ("sh", "-c", "trap 'exit 7' TERM; echo begun; while :; do sleep 0.1; done")
NO = "No such container: nosuch"


def test_volumes_begin_with_what_the_image_has(api: Client) -> None:
    made = api.run("sh", "-c", "ls /etc/passwd; ls /named; touch /etc/new", host={"Binds": ["named:/named"]}, Volumes={"/etc": {}})
    assert api.wait(made) == 0
    assert api.output(made)[1] == b"/etc/passwd\n"
    points = {point["Destination"]: point for point in api.inspect(made)["Mounts"]}
    assert points["/named"]["Name"] == "named"
    assert len(points["/etc"]["Name"]) == 64
    names = {volume["Name"] for volume in api.get("/volumes")["Volumes"]}
    assert names == {"named", points["/etc"]["Name"]}
    assert "new" in {path.name for path in Path(points["/etc"]["Source"]).iterdir()}
    again = api.run("ls", "/x/new", host={"Binds": [f"{points['/etc']['Name']}:/x"]})
    assert api.wait(again) == 0
    for identifier in (again, made):
        assert api.ask("DELETE", f"/containers/{identifier}", v=1).status == 204
    # The one without a name goes with its container, the other stays.
    assert [volume["Name"] for volume in api.get("/volumes")["Volumes"]] == ["named"]


def test_a_long_log_is_gone_when_its_container_is(api: Client, inside: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = inside.containers.parts.snapshots
    remove = snapshots.remove

    def slowly(folder: Path) -> None:
        time.sleep(0.3)
        remove(folder)

    made = api.run("sh", "-c", "yes | head -n 100000")
    assert api.wait(made) == 0
    assert (inside.home.container(made) / "log.jsonl").stat().st_size > 5 << 20
    upper = Path(inside.containers.get(made).record.root.upper)
    shutil.rmtree(upper)  # the places of mounts, which this image lacks; it wrote nothing
    upper.mkdir()
    monkeypatch.setattr(snapshots, "remove", slowly)
    assert api.ask("DELETE", f"/containers/{made}").status == 204
    assert list(inside.home.tmp.iterdir()) == []


def test_binds_are_made_where_they_are_missing(api: Client, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("from the host")
    binds = [f"{tmp_path}/there:/there:ro", f"{tmp_path}/new/deep:/new"]
    made = api.run("sh", "-c", "cat /there/file; echo x > /new/file; touch /there/no", host={"Binds": binds})
    assert api.wait(made) == 1
    assert api.output(made)[1] == b"from the host"
    assert (tmp_path / "new" / "deep" / "file").read_text() == "x\n"


def test_volumes_from_another_container(api: Client) -> None:
    api.create("true", name="first", host={"Binds": ["shared:/data"]})
    made = api.run("sh", "-c", "touch /data/x", host={"VolumesFrom": ["first:ro"]})
    assert api.wait(made) == 1
    assert api.inspect(made)["Mounts"][0]["RW"] is False


def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("runs", [True, False])
def test_files_are_copied_in_and_out(api: Client, inside: Engine, runs: bool) -> None:
    made = api.ready(*LOOP) if runs else api.create("cat", "/tmp/file", OpenStdin=True)
    archive = f"/containers/{made}/archive"
    assert api.ask("PUT", archive, tar_of(file=b"data" * 100_000), path="/tmp").status == 200
    reply = api.ask("GET", archive, path="/tmp/file")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        copied = tar.extractfile("file")
        assert copied
        assert copied.read() == b"data" * 100_000
    assert api.ask("HEAD", archive, path="/tmp/file").headers["x-docker-container-path-stat"]
    assert api.message("GET", archive, path="/nosuch") == (404, f"Could not find the file /nosuch in container {made}")
    assert api.message("PUT", archive, tar_of(a=b""), path="/nosuch") == (
        404,
        f"Could not find the file /nosuch in container {made}",
    )
    assert api.message("PUT", archive, tar_of(a=b"x" * 3_000_000), path="/etc/passwd") == (
        400,
        "extraction point is not a directory",
    )
    assert api.ask("GET", archive).status == 400
    assert {"archive-path", "extract-to-dir"} <= set(inside.actions(made))
    exported = api.ask("GET", f"/containers/{made}/export").body
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        assert {"tmp/file", "etc/passwd"} <= set(tar.getnames())
    assert {"Path": "/tmp/file", "Kind": 1} in api.get(f"/containers/{made}/changes")


def test_a_client_that_leaves_in_the_middle_of_an_export_does_no_harm(api: Client) -> None:
    made = api.ready(*LOOP)
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(api.path))
            sock.sendall(f"GET /containers/{made}/export HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(1000)
    assert api.post(f"/containers/{made}/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 7


def test_a_read_only_root(api: Client) -> None:
    made = api.run("touch", "/x", host={"ReadonlyRootfs": True})
    assert api.wait(made) == 1
    text = "container rootfs is marked read-only"
    assert api.message("PUT", f"/containers/{made}/archive", tar_of(a=b""), path="/tmp") == (400, text)


def test_files_put_into_volumes_of_a_read_only_root(api: Client) -> None:
    binds = ["kept:/v", "kept:/v/inner:ro"]
    made = api.ready(*LOOP, host={"ReadonlyRootfs": True, "Binds": binds})
    assert api.ask("PUT", f"/containers/{made}/archive", tar_of(a=b""), path="/v").status == 200
    text = "mounted volume is marked read-only"
    assert api.message("PUT", f"/containers/{made}/archive", tar_of(a=b""), path="/v/inner") == (400, text)


def test_commit(api: Client, inside: Engine) -> None:
    made = api.run("sh", "-c", "echo x > /new", Env=["A=1"], Labels={"l": "1"})
    api.wait(made)
    changes = 'CMD ["cat", "/new"]\nENV B=2'
    query = {"container": made, "repo": "img", "tag": "v1", "comment": "hi", "changes": changes}
    reply = api.post("/commit", {"Labels": {"z": "y"}}, **query)
    assert reply.status == 201
    config, names = inside.store.committed[-1]
    assert reply.json()["Id"] == inside.store.get("img:v1").id
    assert config["Cmd"] == ["cat", "/new"]
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert config["Labels"] == {"from": "image", "l": "1", "z": "y"}
    assert "Hostname" not in config
    assert "./new" in names
    event = next(event for event in inside.history() if event.action == "commit" and event.id == made)
    assert (event.attributes["imageRef"], event.attributes["comment"]) == ("img:v1", "hi")
    del inside.store.by_name["img:v1"]
    assert api.message("POST", "/commit", container="nosuch") == (404, NO)
    upper = "invalid reference format: repository name (library/Foo) must be lowercase"
    assert api.message("POST", "/commit", container=made, repo="Foo") == (400, upper)
    assert api.message("POST", "/commit", container=made, repo="foo", tag="a@b") == (400, "invalid tag format")
    assert api.message("POST", "/commit", container=made, changes="RUN x") == (400, "RUN is not a valid change command")
