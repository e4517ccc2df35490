"""Containers without namespaces and mounts: the files that a program in one sees, as root and as somebody without any rights."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerlab.engine.runtime.plan import Mount
from tests.embedded.supervised import Box, Container, state_of


class TestFiles:
    """What it reads and writes."""

    def test_it_sees_its_own_root(self, container: Container) -> None:
        ran = container.sh("cat /etc/os-release /data/file; ls /; cd data; pwd; cat ../data/./file")
        assert (ran.code, ran.err) == (0, "")
        assert "from the image\n" in ran.out
        assert "data\n" in ran.out
        assert ran.out.endswith("/data\nfrom the image\n")

    def test_nothing_leads_out_of_it(self, container: Container) -> None:
        ran = container.sh(
            "cat /data/out; cat /../../etc/passwd; cd /; cd ..; pwd; ls /proc/self/root/data; cat /data/../../../data/file"
        )
        assert str(Path(__file__).parents[2]) not in ran.out
        assert ran.out.count("nobody:x:65534") == 2
        assert "/\n" in ran.out
        assert ran.out.endswith("from the image\n")

    def test_what_it_writes_is_its_own(self, container: Container, lowers: tuple[str, ...]) -> None:
        ran = container.sh(
            "echo more >> /data/file; cat /data/file; chmod 700 /data/secret; rm /data/folder/inside; mkdir -p /new/deep"
        )
        assert (ran.code, ran.out) == (0, "from the image\nmore\n")
        assert container.changed() == [
            *("C /data", "C /data/file", "C /data/folder", "D /data/folder/inside", "C /data/secret", "A /new", "A /new/deep"),
        ]
        assert Path(lowers[0], "data/file").read_text() == "from the image\n"
        assert Path(lowers[0], "data/folder/inside").exists()

    def test_every_way_of_changing_a_file_leaves_the_image_alone(self, container: Container, lowers: tuple[str, ...]) -> None:
        before = state_of(Path(lowers[0], "data"))
        ran = container.sh(
            "cd /data; truncate -s 3 file; touch -d @5 secret; chown 5:6 folder/inside; ln file hard; echo x > hard; mv secret moved;"
            "ln -sf /nowhere link; dd if=/dev/zero of=suid bs=1 count=1 conv=notrunc 2>/dev/null; echo changed > moved; rm -r folder; ls"
        )
        assert ran.code == 0, ran.err
        assert ran.out.split() == ["file", "hard", "link", "moved", "out", "suid"]
        assert state_of(Path(lowers[0], "data")) == before
        assert container.sh("cat /data/file /data/hard; stat -c %h /data/file").out == "x\nx\n2\n"

    @pytest.mark.parametrize(
        "script",
        [
            *("mv file moved; echo x >> moved", "ln file hard; echo x >> hard", "ln file /hard; echo x > /hard", "echo x >> file"),
            *(
                "mv file /tmp/moved; echo x >> /tmp/moved",
                "ln -s file s; echo x >> s",
                "cp -f /etc/passwd file",
                "sed -i s/from/to/ file",
            ),
            *("chmod 1 file", "chown 1 file", "touch file", "truncate -s 0 file", "exec 3< file; touch -d @1 /proc/self/fd/3"),
            *(
                "chmod 700 .",
                "mv folder/inside file",
                "dd if=/dev/zero of=folder/inside bs=1 count=1 conv=notrunc",
                "rm file; echo > file",
            ),
            *("cd folder; rm inside; cd ..; rmdir folder; mkdir folder; touch folder/inside", "cp file file2; ln -f file2 file"),
        ],
    )
    def test_no_change_reaches_the_image(self, container: Container, lowers: tuple[str, ...], script: str) -> None:
        before = [state_of(Path(lower)) for lower in lowers]
        container.sh(f"cd /data; {script}")
        assert [state_of(Path(lower)) for lower in lowers] == before
        assert container.changed()

    def test_two_containers_do_not_see_each_other(self, supervised_home: Box, lowers: tuple[str, ...]) -> None:
        first, second = supervised_home.container(lowers), supervised_home.container(lowers)
        assert first.sh("echo one > /data/file; rm -r /data/folder").code == 0
        assert second.sh("cat /data/file; ls /data/folder").out == "from the image\ninside\n"

    def test_errors_are_those_of_the_kernel(self, container: Container) -> None:
        ran = container.sh(
            "cat /nosuch; cat /data/file/x; mkdir /data; rmdir /data; mv /data /data/folder/x; ln -s /loop /loop; cat /loop; cat /data; "
            "rm /proc/version; unlink /data; echo > /etc/"
        )
        expected = [
            "No such file",
            "Not a directory",
            "File exists",
            "not empty",
            "Invalid argument",
            "symbolic links",
            "Is a directory",
        ]
        assert [text for text in expected if text not in ran.err] == []

    def test_directories_of_the_image_are_moved_by_copying(self, container: Container) -> None:
        ran = container.sh("mv /data/folder /data/moved && cat /data/moved/inside; mkdir /own; mv /own /mine; ls -d /own /mine")
        assert ran.out == "inside\n/mine\n"

    def test_owners_and_modes_are_kept(self, container: Container) -> None:
        script = "cd /data; chown 33:44 file; chmod 4750 file; chmod 0 secret; mknod null c 1 3; echo x > null; mkfifo pipe; "
        assert container.sh(script).code == 0
        ran = container.sh("cd /data; stat -c '%n %u:%g %a %F' file secret null pipe; cat secret")
        assert ran.out == (
            "file 33:44 4750 regular file\nsecret 0:0 0 regular file\nnull 0:0 644 character special file\n"
            "pipe 0:0 644 fifo\nsecret\n"
        )

    def test_a_directory_keeps_its_number(self, container: Container) -> None:
        ran = container.sh("stat -c %i /data; touch /data/x; stat -c %i /data; rm -r /data; ls -d /data")
        first, second = ran.out.split()
        assert first == second
        assert "No such file" in ran.err

    def test_pipes_wait_for_their_other_end(self, container: Container) -> None:
        assert (
            container.sh("mkfifo /p; (sleep 0.1; echo through > /p) & cat /p; cat /p & echo again > /p; wait").out
            == "through\nagain\n"
        )

    def test_devices(self, container: Container) -> None:
        ran = container.sh(
            "echo x > /dev/null; head -c 3 /dev/zero | wc -c; ls -l /dev/fd; echo err > /dev/stderr; cat /dev/fd/0", stdin=b"in"
        )
        assert (ran.out.split()[0], ran.err) == ("3", "err\n")
        assert ran.out.endswith("/proc/self/fd\nin")


class TestMounts:
    """What is bound into it."""

    def test_binds_are_the_hosts(self, container: Container, supervised_home: Box) -> None:
        source = supervised_home.home.root / "source"

        def make() -> None:
            source.mkdir()
            (source / "a").write_text("a")

        supervised_home.do(make)
        mounts = [Mount("bind", str(source), "/mnt/rw"), Mount("bind", str(source), "/mnt/ro", readonly=True)]
        mounts.append(Mount("bind", str(source / "a"), "/etc/hosts", readonly=True))
        ran = container.sh(
            "echo b > /mnt/rw/b; cat /mnt/ro/b /etc/hosts; echo > /mnt/ro/c; echo > /etc/hosts; rm /etc/hosts", mounts=mounts
        )
        assert ran.out == "b\na"
        assert ran.err.count("Read-only file system") == 2
        assert "busy" in ran.err
        assert (source / "b").read_text() == "b\n"
        assert "A /mnt" in container.changed()
        assert not any("hosts" in change for change in container.changed())

    def test_temporary_file_systems_are_empty(self, container: Container) -> None:
        mounts = [Mount("tmpfs", "", "/data", options={"mode": "700"})]
        ran = container.sh("ls /data; stat -c %a /data; touch /data/x; mount | grep -c /data", mounts=mounts)
        assert ran.out == "700\n1\n"
        assert container.sh("ls /data").out.startswith("file\n")

    def test_a_read_only_root(self, container: Container) -> None:
        ran = container.sh("touch /x; rm /data/file; chmod 1 /data; true > /data/file; touch /dev/shm/x && echo shm", readonly=True)
        assert ran.out == "shm\n"
        assert ran.err.count("Read-only file system") == 4


class TestIdentity:
    """Who it is."""

    def test_root_and_users(self, container: Container) -> None:
        assert container.sh("id -u; id -g").out == "0\n0\n"
        ran = container.sh(
            "id; cat /data/file; cat /data/secret; echo > /data/x; touch /tmp/mine; stat -c %u:%g /tmp/mine", user="1234:56"
        )
        assert ran.out == "uid=1234 gid=56 groups=56\nfrom the image\n1234:56\n"
        assert ran.err.count("Permission denied") == 2

    def test_a_user_may_change_what_is_its_own_alone(self, container: Container) -> None:
        ran = container.sh("cd /tmp; touch a; chmod 600 a; chown 0 a; chmod 777 /data/file; rm -r /data/folder", user="77")
        assert ran.err.count("not permitted") >= 2
        assert "Permission denied" in ran.err

    def test_what_proc_says_of_it(self, container: Container) -> None:
        ran = container.sh(
            "grep -E '^(Uid|Gid|TracerPid)' /proc/self/status; stat -L -c %u:%g /proc/self; umask 7; grep Umask /proc/$$/status",
            user="12:34",
        )
        assert ran.out == "TracerPid:\t0\nUid:\t12\t12\t12\t12\nGid:\t34\t34\t34\t34\n12:34\nUmask:\t0007\n"

    def test_unknown_users(self, container: Container) -> None:
        ran = container.run("id", user="nobody-knows")
        assert ran.problem["error"] == "unable to find user nobody-knows: no matching entries in passwd file"
