"""The stand-in for `python:3.10`: the Python that runs, its standard library and pip, on this machine's shell and commands.

The interpreter finds its library from its own place, so it lies at /usr/local as in the official image. Only a distribution's
Python, which was compiled for /usr and installs packages to /usr/local, keeps /usr; /usr/local/bin/python is a link to it.
"""

from __future__ import annotations

import ensurepip
import importlib.metadata
import platform
import sys
import sysconfig
import zipfile
from pathlib import Path

from dockerlab.errors import DockerlabError
from dockerlab.standins import machine
from dockerlab.standins.archives import Layer, Recipe
from dockerlab.standins.libraries import add_libraries
from dockerlab.standins.tree import Tree

NAME = "python:3.10"

# Not in the image: what nobody imports in a container, what needs Tcl, and the static library for embedding.
_LEAVE_OUT = (
    "__pycache__ site-packages dist-packages test tests idlelib idle_test tkinter turtledemo turtle.py lib2to3 EXTERNALLY-MANAGED"
)
# What a wheel with compiled modules counts on besides the C library: PEP 600, manylinux.
_FOR_WHEELS = (
    *("libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libnsl.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
_LEAVE_OUT_MODULES = ("_tkinter", "_test", "_ctypes_test", "_xxtestfuzz", "_xxinterpchannels", "xxlimited")


def recipe() -> Recipe:
    """Raises DockerlabError where a part of Python is not to be found."""
    base, tree = Tree(), Tree()
    machine.add_system(base, NAME)
    count = machine.add_commands(base)
    bundle = machine.certificates()
    if bundle:
        base.file(machine.CERTIFICATES, bundle.resolve())
    pip_version = _add_python(tree, base)
    system = f"sh and {count - 1} other commands of {machine.distribution()}"
    python = f"{platform.python_implementation()} {platform.python_version()} and pip {pip_version}"
    env = {"PATH": machine.PATH, "LANG": "C.UTF-8", "PYTHON_VERSION": platform.python_version()}
    if bundle:
        # pip brings a list of its own, and Python looks where it was compiled to look: both are to trust what this machine does.
        env |= {"SSL_CERT_FILE": machine.CERTIFICATES, "PIP_CERT": machine.CERTIFICATES}
    return Recipe(
        name=NAME,
        architecture=machine.architecture(),
        env=env,
        command=("python3",),
        labels=machine.labels(NAME, f"{python}; {system}"),
        steps=(
            Layer(base, f"dockerlab stand-in: {system}"),
            *(f"ENV {name}={value}" for name, value in env.items()),
            Layer(tree, f"dockerlab stand-in: {python}"),
            'CMD ["python3"]',
        ),
    )


def _add_python(tree: Tree, base: Tree) -> str:
    """The interpreter, its library and pip, and the libraries that they need beyond those in `base`. Gives pip's version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(sys.base_prefix, "bin", f"python{version}").resolve()
    if not interpreter.is_file():
        raise DockerlabError(
            "no stand-in for python can be made: the interpreter that runs is not a file of its own", place=[str(interpreter)]
        )
    prefix = "/usr" if sys.base_prefix == "/usr" else "/usr/local"
    program = f"{prefix}/bin/python{version}"
    tree.file(program, interpreter, 0o755)
    for name in ("python", "python3", f"python{version}"):
        if f"/usr/local/bin/{name}" != program:
            tree.link(f"/usr/local/bin/{name}", f"python{version}" if prefix == "/usr/local" else program)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    modules = sorted((library / "lib-dynload").glob("*.so"))
    left_out = frozenset(path.name for path in modules if path.name.startswith(_LEAVE_OUT_MODULES))
    static = frozenset(path.name for path in library.glob("config-*"))
    tree.copy_folder(f"{prefix}/{sys.platlibdir}/python{version}", library, left_out | static | frozenset(_LEAVE_OUT.split()))
    add_libraries(tree, [interpreter, *(path for path in modules if path.name not in left_out)], base, _FOR_WHEELS)
    return _add_pip(tree, prefix, version)


def _add_pip(tree: Tree, prefix: str, version: str) -> str:
    """pip where the moved interpreter looks for packages, and its commands."""
    scheme = "posix_local" if "posix_local" in sysconfig.get_scheme_names() else "posix_prefix"
    folder = sysconfig.get_path("purelib", scheme, vars={"base": prefix, "installed_base": prefix})
    script = f"#!/usr/local/bin/python{version}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
    for name in ("pip", "pip3", f"pip{version}"):
        tree.file(f"/usr/local/bin/{name}", script.encode(), 0o755)
    if wheel := _bundled_wheel():
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    tree.file(f"{folder}/{member.filename}", archive.read(member))
        return wheel.name.split("-")[1]
    return _add_installed_pip(tree, folder)


def _bundled_wheel() -> Path | None:
    """The wheel that `python -m ensurepip` installs; distributions keep it in a folder of their own."""
    folders = (sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(ensurepip.__file__).parent / "_bundled", "/usr/share/python-wheels")
    for folder in folders:
        if folder and (wheels := sorted(Path(folder).glob("pip-*.whl"))):
            return wheels[-1]
    return None


def _add_installed_pip(tree: Tree, folder: str) -> str:
    try:
        installed = importlib.metadata.distribution("pip")
    except importlib.metadata.PackageNotFoundError as error:
        raise DockerlabError(
            "no stand-in for python can be made: this Python has no pip to put into it",
            hint="Install it (`python -m ensurepip`, or Debian's python3-venv), then try again.",
        ) from error
    for file in installed.files or []:
        path = Path(str(file.locate()))
        if file.parts[0] != ".." and file.suffix != ".pyc" and path.is_file():
            tree.copy(f"{folder}/{file}", path)
    return installed.version
