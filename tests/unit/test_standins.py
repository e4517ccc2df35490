"""Stand-ins without an engine: the same bytes twice, and what is in them."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dockerlab import standins
from dockerlab.errors import DockerlabError, UsageError
from dockerlab.standins import archives, busybox, debian, libraries, machine, packages, preparation, python
from dockerlab.standins.tree import TIME, Tree

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="stand-ins are made on Linux")


def written(recipe: archives.Recipe) -> bytes:
    file = io.BytesIO()
    archives.write(recipe, file)
    return file.getvalue()


def opened(data: bytes) -> tuple[dict[str, Any], list[dict[str, tarfile.TarInfo]]]:
    """The config, and the names in each layer."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file
            return file.read()

        [manifest] = json.loads(read("manifest.json"))
        layers = []
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(read(name))) as layer:
                layers.append({member.name: member for member in layer})
        config = json.loads(read(manifest["Config"]))
    return config | {"RepoTags": manifest["RepoTags"]}, layers


@pytest.fixture(scope="module")
def python_archive() -> bytes:
    with standins.archive("python:3.10") as file:
        return file.read()


@on_linux
def test_two_archives_of_busybox_are_identical() -> None:
    with standins.archive("busybox") as one, standins.archive("busybox:latest") as two:
        assert one.read() == two.read()


@on_linux
@pytest.mark.slow
def test_two_archives_of_python_are_identical(python_archive: bytes) -> None:
    with standins.archive("python:3.10") as file:
        assert file.read() == python_archive


@on_linux
def test_busybox_of_this_machine_or_its_look_alike() -> None:
    for program in {machine.static_busybox(), None}:
        config, [layer] = opened(written(busybox.recipe(program)))
        assert config["RepoTags"] == ["docker.io/library/busybox:latest"]
        assert config["config"]["Cmd"] == ["sh"]
        assert config["config"]["Labels"]["dockerlab.stand-in.for"] == "busybox"
        assert {"usr/bin/sh", "usr/bin/ls", "usr/bin/cat", "usr/bin/sleep", "etc/passwd", "etc/group", "etc/os-release"} <= set(
            layer
        )
        assert layer["tmp"].mode == 0o1777
        assert list(layer) == sorted(layer)
        assert {(m.uid, m.gid, m.mtime) for m in layer.values()} == {(0, 0, TIME)}
        assert not any(m.issym() and m.linkname == Path(m.name).name for m in layer.values()), "a link to itself"
        assert "etc/ld.so.conf" not in layer


@on_linux
def test_the_stand_in_for_python_is_the_python_that_runs(python_archive: bytes) -> None:
    config, [base, layer] = opened(python_archive)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    env = dict(item.split("=", 1) for item in config["config"]["Env"])
    assert env["LANG"] == "C.UTF-8"
    assert env["PYTHON_VERSION"].startswith(version)
    assert {f"usr/local/bin/{name}" for name in ("python", "python3", f"python{version}", "pip")} <= set(layer)
    names = "\n".join(layer)
    assert "/os.py" in names
    assert "/pip/__main__.py" in names
    assert not [name for name in layer if "__pycache__" in name or "/idlelib/" in name or "/test/" in name]
    assert "usr/bin/sh" in base
    assert not set(base) & {name for name, member in layer.items() if member.isfile()}, "a library in both layers"


@pytest.mark.slow
@pytest.mark.skipif(not debian.is_possible(), reason="the stand-in for debian is made on a Debian")
def test_the_stand_in_for_debian_is_a_debian_that_apt_can_extend() -> None:
    with standins.archive("debian") as one, standins.archive("debian:latest") as two:
        data = one.read()
        assert data == two.read()
    config, [layer] = opened(data)
    assert config["config"]["Cmd"] == ["bash"]
    assert {
        "usr/bin/bash",
        "usr/bin/apt-get",
        "usr/bin/dpkg",
        "usr/bin/awk",
        "var/lib/dpkg/info/bash.list",
        "etc/apt/sources.list",
    } <= set(layer)
    assert {f"etc/pam.d/common-{kind}" for kind in ("account", "auth", "password", "session")} <= set(layer)
    assert layer["bin"].linkname == "usr/bin"
    assert (layer["etc/shadow"].mode, layer["usr/bin/su"].mode) == (0o640, 0o4755)
    assert not [name for name in layer if name.startswith(("usr/share/man/", "usr/share/locale/")) and layer[name].isfile()]
    assert list(layer) == sorted(layer)
    assert {(m.uid, m.gid, m.mtime) for m in layer.values()} == {(0, 0, TIME)}
    # What this machine has of its own stays here.
    assert not {"etc/hostname", "etc/resolv.conf", "etc/machine-id", "etc/fstab", "etc/apt/apt.conf"} & set(layer)


def test_the_stand_in_for_debian_needs_a_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "is_possible", lambda: False)
    assert "debian:latest" not in preparation.makeable()
    with pytest.raises(DockerlabError, match="no stand-in for debian can be made: this machine runs "):
        debian.recipe()


STATUS = """\
Package: a
Essential: yes
Status: install ok installed
Architecture: amd64
Depends: b (>= 1), nowhere | c-virtual, d:any

Package: b
Status: install ok installed
Pre-Depends: a
Description: two
 lines
 .
 Package: not-one

Package: c
Status: install ok installed
Provides: c-virtual (= 1)

Package: d
Status: deinstall ok config-files

Package: e
Status: install ok installed
"""


def test_packages_and_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "info").mkdir()
    (tmp_path / "info" / "a:amd64.list").write_text("/.\n/usr\n/usr/bin/a\n")
    there = packages.installed(tmp_path)
    assert sorted(there) == ["a", "b", "c", "e"]
    assert there["a"].needs == (("b",), ("nowhere", "c-virtual"), ("d",))
    assert [package.is_essential for package in there.values()] == [True, False, False, False]
    assert list(packages.closure(there, ["a", "unknown"])) == ["a", "b", "c"]
    assert packages.files(there["a"], tmp_path) == ["/usr", "/usr/bin/a"]


@on_linux
def test_the_history_says_what_each_layer_is() -> None:
    config, layers = opened(written(busybox.recipe(None)))
    lines = config["history"]
    assert sum(not line.get("empty_layer") for line in lines) == len(layers) == len(config["rootfs"]["diff_ids"])
    assert lines[0]["created_by"].startswith("dockerlab stand-in: sh and ")


@on_linux
def test_pip_trusts_the_certificates_that_the_machine_is_configured_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "own.pem"
    bundle.write_bytes(b"own")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    recipe = python.recipe()
    assert recipe.env["PIP_CERT"] == recipe.env["SSL_CERT_FILE"] == machine.CERTIFICATES
    base = recipe.steps[0]
    assert isinstance(base, archives.Layer)
    assert base.tree.entries[machine.CERTIFICATES.strip("/")].content == bundle


@on_linux
def test_libraries_lie_beside_the_c_library_and_the_loader_where_programs_want_it() -> None:
    tree = Tree()
    libraries.add_libraries(tree, [Path("/bin/sh").resolve()])
    places = {name.rpartition("/")[0] for name in tree.entries if ".so" in name}
    assert len(places) <= 2
    assert any("ld-" in name or "ld64" in name for name in tree.entries)


@on_linux
def test_libraries_are_found_where_there_is_no_ldd(monkeypatch: pytest.MonkeyPatch) -> None:
    static = machine.static_busybox()
    programs = [Path("/bin/sh").resolve(), Path(sys.executable).resolve(), *([static] if static else [])]
    by_ldd = {name: path.resolve() for name, path in libraries.closure(programs).items()}
    assert any(name.startswith("libc.so.") for name in by_ldd)
    monkeypatch.setattr("dockerlab.standins.libraries.shutil.which", lambda name: None)
    assert {name: path.resolve() for name, path in libraries.closure(programs).items()} == by_ldd


def test_a_tree_makes_parents_and_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "a.py").write_text("a")
    (tmp_path / "keep" / "a.pyc").write_text("a")
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "b").write_text("b")
    tree = Tree()
    tree.copy_folder("/lib", tmp_path, frozenset({"drop"}))
    assert sorted(tree.entries) == ["lib", "lib/keep", "lib/keep/a.py"]


def test_an_unknown_name_is_an_error_that_suggests_one() -> None:
    with pytest.raises(UsageError, match="no stand-in is known for 'busybx': did you mean 'busybox:latest'"):
        standins.archive("busybx")


def test_elsewhere_than_on_linux_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DockerlabError, match="made from a Linux machine's own files"):
        standins.archive("busybox")
