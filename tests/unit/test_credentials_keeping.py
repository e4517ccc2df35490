"""Where credentials of registries are kept: helpers (real programs), Docker's config file, and nothing else is touched or shown."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.credentials import Credentials
from dockerlab.credentials.keeping import Kept, forget, keep
from dockerlab.errors import CredentialsError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the helper is a script")
HUB = "https://index.docker.io/v1/"
Helper = Callable[..., Path]

# By the protocol of docker-credential-helpers; what it has is in a file each.
SCRIPT = """#!/bin/sh
cd "$0.kept"
case $1 in
store) cat > all; sed -n 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/p' all | tr -d '\\n/' > name; mv all "$(cat name)" ;;
get) file=$(tr -d '\\n/'); [ -f "$file" ] || { echo credentials not found in native keychain; exit 1; }; cat "$file" ;;
erase) file=$(tr -d '\\n/'); [ -f "$file" ] || { echo credentials not found in native keychain; exit 1; }; rm "$file" ;;
esac
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker"), "DOCKER_AUTH_CONFIG": ""}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Makes a helper of a name."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    def make(name: str, script: str = SCRIPT) -> Path:
        path = tmp_path / "bin" / f"docker-credential-{name}"
        path.write_text(script)
        path.chmod(0o755)
        Path(f"{path}.kept").mkdir(exist_ok=True)
        return path

    return make


def written(environ: dict[str, str], config: object) -> Path:
    path = Path(environ["DOCKER_CONFIG"], "config.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return path


def known(environ: dict[str, str], host: str) -> tuple[str, str]:
    found = Credentials.found(environ).answer(host)
    return found.username, found.secret


class TestFile:
    """Where there is no helper."""

    def test_its_owner_alone_may_read_it(self, environ: dict[str, str], tmp_path: Path) -> None:
        path = tmp_path / "docker" / "config.json"
        assert keep(environ, "r.test", "me", "pw:ü") == Kept(str(path), False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert known(environ, "r.test") == ("me", "pw:ü")
        path.chmod(0o644)
        keep(environ, "r.test", "me", "other")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [one.name for one in path.parent.iterdir()] == ["config.json"]

    def test_what_else_stands_there_stays(self, environ: dict[str, str]) -> None:
        before = {
            "HttpHeaders": {"a": "ü"},
            "auths": {"other.test": {"auth": "eDp5"}, "https://r.test/v1/": {"auth": "YTpi"}},
            "new": 1,
        }
        path = written(environ, before)
        keep(environ, "r.test", "me", "pw")
        now = json.loads(path.read_text())
        assert now == before | {"auths": {"other.test": {"auth": "eDp5"}, "r.test": {"auth": "bWU6cHc="}}}
        assert forget(environ, "r.test")
        assert json.loads(path.read_text()) == before | {"auths": {"other.test": {"auth": "eDp5"}}}
        assert not forget(environ, "r.test")

    def test_docker_hub_under_its_own_key(self, environ: dict[str, str]) -> None:
        path = written(environ, {"auths": {"docker.io": {"auth": "YTpi"}}})
        keep(environ, "registry-1.docker.io", "me", "pw")
        assert list(json.loads(path.read_text())["auths"]) == [HUB]
        assert known(environ, "registry-1.docker.io") == ("me", "pw")
        assert forget(environ, "registry-1.docker.io")

    def test_a_token_in_place_of_a_password(self, environ: dict[str, str]) -> None:
        keep(environ, "r.test", "me", "token", is_token=True)
        assert known(environ, "r.test") == ("", "token")

    def test_a_link_stays(self, environ: dict[str, str], tmp_path: Path) -> None:
        path = written(environ, {})
        path.rename(tmp_path / "real.json")
        path.symlink_to(tmp_path / "real.json")
        keep(environ, "r.test", "me", "pw")
        assert path.is_symlink()
        assert "r.test" in (tmp_path / "real.json").read_text()

    @pytest.mark.parametrize("text", ["{", "[]", "\xff"])
    def test_one_that_cannot_be_read_is_not_touched(self, environ: dict[str, str], text: str) -> None:
        path = written(environ, {})
        path.write_bytes(text.encode("latin-1"))
        for act in (lambda: keep(environ, "r.test", "me", "canary"), lambda: forget(environ, "r.test")):
            with pytest.raises(CredentialsError, match="cannot be read") as caught:
                act()
            assert "canary" not in "\n".join(caught.value.lines())
        assert path.read_bytes() == text.encode("latin-1")

    def test_one_that_cannot_be_written(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "docker").write_text("a file where the folder should be")
        with pytest.raises(CredentialsError) as caught:
            keep(environ, "r.test", "me", "canary")
        assert "config.json cannot be" in str(caught.value)
        assert "canary" not in "\n".join(caught.value.lines())


class TestHelper:
    """Programs that keep them."""

    @pytest.mark.parametrize("config", [{"credsStore": "own"}, {"credHelpers": {"r.test": "own"}, "credsStore": "missing"}])
    def test_it_has_them_and_the_file_has_not(self, environ: dict[str, str], helper: Helper, config: object) -> None:
        program, path = helper("own"), written(environ, config)
        assert keep(environ, "r.test", "me", "canary") == Kept("docker-credential-own", True)
        assert json.loads(path.read_text()) == {**json.loads(json.dumps(config)), "auths": {"r.test": {}}}
        assert "canary" in (Path(f"{program}.kept") / "r.test").read_text()
        assert known(environ, "r.test") == ("me", "canary")
        assert forget(environ, "r.test")
        assert list(Path(f"{program}.kept").glob("r*")) == []
        assert not forget(environ, "r.test")

    def test_a_token(self, environ: dict[str, str], helper: Helper) -> None:
        helper("own")
        written(environ, {"credsStore": "own"})
        keep(environ, "r.test", "me", "token", is_token=True)
        assert known(environ, "r.test") == ("", "token")

    def test_one_of_another_registry_is_not_asked(self, environ: dict[str, str], helper: Helper) -> None:
        helper("own", "#!/bin/sh\nexit 9\n")
        written(environ, {"credHelpers": {"other.test": "own"}})
        assert keep(environ, "r.test", "me", "pw").is_encrypted is False

    def test_that_of_the_desktop_is_taken_by_who_has_kept_nothing_yet(
        self, environ: dict[str, str], helper: Helper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        name = "pass" if shutil.which("pass") else "secretservice"
        helper(name)
        path = written(environ, {"auths": {"other.test": {}}})
        assert keep(environ, "r.test", "me", "pw").is_encrypted is False
        path.unlink()
        assert keep(environ, "r.test", "me", "pw") == Kept(f"docker-credential-{name}", True)
        assert json.loads(path.read_text()) == {"credsStore": name, "auths": {"r.test": {}}}

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            (None, "it is not installed"),
            ("#!/bin/sh\ncat; cat >&2; exit 3\n", "it ended with exit code 3"),
            ("not a program", "it cannot be started"),
        ],
    )
    def test_one_that_fails(self, environ: dict[str, str], helper: Helper, script: str | None, said: str) -> None:
        if script:
            helper("own", script)
        path = written(environ, {"credsStore": "own"})
        with pytest.raises(CredentialsError, match=said) as caught:
            keep(environ, "r.test", "me", "canary")
        assert "canary" not in "\n".join([*caught.value.lines(), repr(caught.value.__context__)])
        assert json.loads(path.read_text()) == {"credsStore": "own"}, "nothing is kept anywhere else instead"

    def test_a_name_that_is_a_path(self, environ: dict[str, str]) -> None:
        written(environ, {"credsStore": "../../bin/sh"})
        with pytest.raises(CredentialsError, match="it is not installed"):
            keep(environ, "r.test", "me", "canary")
