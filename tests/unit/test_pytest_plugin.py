"""The pytest plugin costs nothing and changes nothing where nobody asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import os
import sys

def test_what_is_there(pytestconfig):
    plugins = [name for name, _ in pytestconfig.pluginmanager.list_name_plugin()]
    print("plugins", *sorted(name for name in plugins if "dockerlab" in name))
    print("modules", *sorted(name for name in sys.modules if name.split(".")[0] in ("docker", "dockerlab", "requests", "IPython")))
    print("variables", *sorted(name for name in os.environ if name.startswith("DOCKERLAB")))
    print("nbval", pytestconfig.option.nbval_current_env, pytestconfig.option.nbval_sanitize_with)
"""


def run(folder: Path, *words: str) -> dict[str, str]:
    (folder / "test_probe.py").write_text(PROBE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOCKERLAB")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in done.stdout.splitlines()}


def test_without_its_options_it_is_just_a_file(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["plugins"] == "dockerlab"
    assert found["modules"] == "dockerlab dockerlab.testing dockerlab.testing.plugin"
    assert found["variables"] == ""
    assert found["nbval"] == "False None"


def test_with_them_nbval_is_told_our_rules_beside_the_teacher_s(tmp_path: Path) -> None:
    as_it_is = ("--dockerlab-engine=configured", "--dockerlab-keep")
    found = run(tmp_path, *as_it_is)
    assert found["plugins"] == "dockerlab dockerlab-session"
    assert found["nbval"].startswith("True ")
    assert found["nbval"].endswith("nbval.cfg")
    assert found["variables"] == "DOCKERLAB_STATIC"
    own = tmp_path / "own.cfg"
    own.write_text("[mood]\nregex: (good|bad)\nreplace: MOOD\n", encoding="utf-8")
    rules = Path(run(tmp_path, *as_it_is, f"--nbval-sanitize-with={own}", "--nbval-kernel-name=python3")["nbval"].split()[1])
    assert rules.name == "sanitise.cfg"


def test_a_wrong_engine_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--dockerlab-engine=none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "embedded" in done.stderr
