"""The `dockerlab` command, as a process where it matters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dockerlab
from dockerlab import cli, client, doctor, standins
from dockerlab.doctor import Diagnosis
from dockerlab.errors import DockerlabError
from dockerlab.faces.doctor import Finding

ROOT = Path(__file__).parents[2]


def command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(
        [sys.executable, "-m", "dockerlab.cli", *words], capture_output=True, text=True, env=environment, check=False
    )


def test_version_and_help() -> None:
    assert command("--version").stdout == f"dockerlab {dockerlab.__version__}\n"
    text = command("--help").stdout
    assert all(word in text for word in ("engine", "images", "doctor"))


def test_a_wrong_word() -> None:
    done = command("frobnicate")
    assert done.returncode == 2
    assert "invalid choice: 'frobnicate'" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")
def test_the_engine_is_handed_over(tmp_path: Path) -> None:
    # A folder that happens to be called like the package is not it.
    (tmp_path / "dockerlab").mkdir()
    (tmp_path / "dockerlab" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    environ = {"DOCKERLAB_ENGINE_ROOT": str(tmp_path / "root"), "DOCKERLAB_ENGINE_RUNTIME": str(tmp_path / "run")}
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from dockerlab.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "engine", "status"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **environ},
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("No engine runs.")
    assert "prune" in command("engine", "--help").stdout


class Closed:
    """A client that nobody asks anything."""

    def close(self) -> None:
        pass


def test_images_prepare_goes_on_after_one_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(name: str, client: object) -> str:
        if name == "bad":
            raise DockerlabError("cannot make it", hint="Do without.")
        return f"{name}: ready"

    monkeypatch.setattr(client, "connect", Closed)
    monkeypatch.setattr(standins, "prepare", prepare)
    assert cli.main(["images", "prepare", "a", "bad", "b"]) == 1
    out, err = capsys.readouterr()
    assert out == "a: ready\nb: ready\n"
    assert err == "a …\nbad …\ncannot make it\n\n→ Do without.\nb …\n"
    assert cli.main(["images", "prepare"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: ready" for name in standins.makeable()]


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_doctor(works: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = (Finding("an engine", works, "it said so", "much", "mend it"), Finding("dot", True, "2.43"))
    monkeypatch.setattr(doctor, "examine", lambda: Diagnosis(found))
    assert cli.main(["doctor"]) == code
    assert "it said so" in capsys.readouterr().out


def test_export_and_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app, notebook, out = tmp_path / "app", str(tmp_path / "n.ipynb"), tmp_path / "out"
    app.mkdir()
    (app / "Dockerfile").write_text("FROM busybox\n")
    assert cli.main(["import", str(app), notebook]) == 0
    assert cli.main(["export", notebook, str(out)]) == 0
    assert capsys.readouterr() == (f"{notebook}\n{out}\n  Dockerfile\n  README.md\n", "")
    (out / "Dockerfile").write_text("FROM mine\n")
    assert cli.main(["export", notebook, str(out)]) == 1
    assert "would be overwritten\n  Dockerfile\n" in capsys.readouterr().err
    assert cli.main(["export", "--force", notebook, str(out)]) == 0
    assert (out / "Dockerfile").read_text() == "FROM busybox\n"
    assert cli.main(["export", str(tmp_path / "none.ipynb"), str(out)]) == 1
    assert "cannot read the notebook" in capsys.readouterr().err
