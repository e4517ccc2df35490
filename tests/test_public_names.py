"""What `import dockerlab` promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dockerlab


def test_names_are_sorted_and_have_a_home() -> None:
    assert dockerlab.__all__ == sorted(set(dockerlab.__all__))
    assert set(dockerlab.__all__) == set(dockerlab._HOMES)
    assert set(dockerlab.__all__) <= set(dir(dockerlab))


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(dockerlab.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    named = {name.name for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert named - {"InteractiveShell"} == set(dockerlab.__all__)


@pytest.mark.parametrize("name", dockerlab.__all__)
def test_a_name_is_importable_and_documented(name: str) -> None:
    value = getattr(dockerlab, name)
    # A class has its own words, not those of the docker-py class that it extends.
    documentation = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert documentation
    assert documentation.strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'dockerlab' has no attribute 'swarn'$"):
        dockerlab.swarn  # noqa: B018


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after `code`."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_docker_nor_ipython() -> None:
    assert not {"docker", "IPython", "requests"} & loaded_after("import dockerlab; dir(dockerlab)")


def test_loading_the_extension_does_not_load_docker_and_prints_nothing() -> None:
    code = "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.instance().run_line_magic('load_ext', 'dockerlab')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert not {"docker", "requests", "urllib3"} & loaded_after(code)
