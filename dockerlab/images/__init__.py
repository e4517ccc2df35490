"""The verbs on an engine's images, named as those of `docker image`.

    images.ls()                     Images      get(name)                   Image
    images.pull("busybox")          Image       ensure(name)                Image, pulled if it is not there
    images.push("localhost:5000/app") Pushed      push_all("localhost:5000/app")  PushedTags
    images.login("registry.example", "me", password) LoggedIn           logout("registry.example") LoggedOut
    images.remote("python:3.10")    RemoteImage, without pulling it
    images.save("app.tar", ["app"]) Saved       load("app.tar")             Loaded
    images.copy("app", "ssh://me@server") Copied
    images.tag("busybox", "mine:1") Image       rm("mine:1")                Removed
    images.show("app")              ImageView   history("app")              History
    images.inspect("app")           Inspection  prune()                     Pruned
    images.graph(["app", "web"])    LayerGraph
    images.kubernetes("app")        Manifests
    images.explore("app")           Exploration diff("app:1", "app:2")      ImagesDiff

Names are imported when they are first used: to explore an archive on disk needs no client of an engine.

An image is named by reference, by id or by `Image`. Every verb that an engine does takes `client=`, else asks the one that `connect()`
finds; `login`, `logout` and `remote` need none.

- `model`: Image
- `values`: what the verbs answer
- `store`: the verbs on what the engine has
- `layering`: graph
- `exploring`: the files of layers, from an engine or an archive on disk; `explored`: what that answers
- `transfer`: pull, push and ensure; `refusal`: why a registry did not give or take an image
- `looking`, `account`: what a registry has, and who the user is there; `registries`: how it is asked; `registry_values`: the answers
- `archiving`: save and load; `copying`: copy
- `handover`: an image handed over to Kubernetes
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockerlab.images.account import login, logout
    from dockerlab.images.archiving import load, save
    from dockerlab.images.copying import copy
    from dockerlab.images.explored import Exploration, ImagesDiff, LayerTree
    from dockerlab.images.exploring import diff, explore
    from dockerlab.images.handover import Manifests, kubernetes
    from dockerlab.images.layering import LayerGraph, graph
    from dockerlab.images.looking import remote
    from dockerlab.images.model import Image
    from dockerlab.images.registry_values import LoggedIn, LoggedOut, PushedTags, RemoteImage
    from dockerlab.images.store import get, history, inspect, ls, prune, rm, show, tag
    from dockerlab.images.transfer import ensure, pull, push, push_all
    from dockerlab.images.values import (
        ArchiveProgress,
        Copied,
        History,
        Images,
        ImageView,
        Inspection,
        Loaded,
        Pruned,
        PullProgress,
        Pushed,
        PushProgress,
        Removed,
        Saved,
    )

_HOMES = {
    "ArchiveProgress": "values",
    "Copied": "values",
    "Exploration": "explored",
    "History": "values",
    "Image": "model",
    "ImageView": "values",
    "Images": "values",
    "ImagesDiff": "explored",
    "Inspection": "values",
    "LayerGraph": "layering",
    "LayerTree": "explored",
    "Loaded": "values",
    "LoggedIn": "registry_values",
    "LoggedOut": "registry_values",
    "Manifests": "handover",
    "Pruned": "values",
    "PullProgress": "values",
    "PushProgress": "values",
    "Pushed": "values",
    "PushedTags": "registry_values",
    "RemoteImage": "registry_values",
    "Removed": "values",
    "Saved": "values",
    "copy": "copying",
    "diff": "exploring",
    "ensure": "transfer",
    "explore": "exploring",
    "get": "store",
    "graph": "layering",
    "history": "store",
    "inspect": "store",
    "kubernetes": "handover",
    "load": "archiving",
    "login": "account",
    "logout": "account",
    "ls": "store",
    "prune": "store",
    "pull": "transfer",
    "push": "transfer",
    "push_all": "transfer",
    "remote": "looking",
    "rm": "store",
    "save": "archiving",
    "show": "store",
    "tag": "store",
}

__all__ = [
    "ArchiveProgress",
    "Copied",
    "Exploration",
    "History",
    "Image",
    "ImageView",
    "Images",
    "ImagesDiff",
    "Inspection",
    "LayerGraph",
    "LayerTree",
    "Loaded",
    "LoggedIn",
    "LoggedOut",
    "Manifests",
    "Pruned",
    "PullProgress",
    "PushProgress",
    "Pushed",
    "PushedTags",
    "RemoteImage",
    "Removed",
    "Saved",
    "copy",
    "diff",
    "ensure",
    "explore",
    "get",
    "graph",
    "history",
    "inspect",
    "kubernetes",
    "load",
    "login",
    "logout",
    "ls",
    "prune",
    "pull",
    "push",
    "push_all",
    "remote",
    "rm",
    "save",
    "show",
    "tag",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dockerlab.images' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(f"dockerlab.images.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
