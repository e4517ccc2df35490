"""The table of endpoints: all of the Engine API 1.48 is in it, each once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dockerlab.engine import api
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Route

# Method and path of every endpoint of https://docs.docker.com/reference/api/engine/version/v1.48/
ENDPOINTS = """
GET /_ping · HEAD /_ping · GET /version · GET /info · GET /events · GET /system/df · POST /auth
GET /containers/json · POST /containers/create · POST /containers/prune
GET /containers/x/json · GET /containers/x/top · GET /containers/x/logs · GET /containers/x/changes · GET /containers/x/export
GET /containers/x/stats · POST /containers/x/resize · POST /containers/x/start · POST /containers/x/stop
POST /containers/x/restart · POST /containers/x/kill · POST /containers/x/update · POST /containers/x/rename
POST /containers/x/pause · POST /containers/x/unpause · POST /containers/x/attach · GET /containers/x/attach/ws
POST /containers/x/wait · DELETE /containers/x · HEAD /containers/x/archive · GET /containers/x/archive
PUT /containers/x/archive · POST /containers/x/exec
POST /exec/x/start · POST /exec/x/resize · GET /exec/x/json
GET /images/json · POST /build · POST /build/prune · POST /images/create · GET /images/a/b/json · GET /images/a/b/history
POST /images/a/b/push · POST /images/a/b/tag · DELETE /images/a/b · GET /images/search · POST /images/prune · POST /commit
GET /images/a/b/get · GET /images/get · POST /images/load · GET /distribution/a/b/json · POST /session
GET /networks · GET /networks/x · DELETE /networks/x · POST /networks/create · POST /networks/x/connect
POST /networks/x/disconnect · POST /networks/prune
GET /volumes · POST /volumes/create · GET /volumes/x · PUT /volumes/x · DELETE /volumes/x · POST /volumes/prune
GET /plugins · GET /plugins/privileges · POST /plugins/pull · GET /plugins/a/b/json · DELETE /plugins/a/b
POST /plugins/a/b/enable · POST /plugins/a/b/disable · POST /plugins/a/b/upgrade · POST /plugins/create
POST /plugins/a/b/push · POST /plugins/a/b/set
GET /nodes · GET /nodes/x · DELETE /nodes/x · POST /nodes/x/update
GET /swarm · POST /swarm/init · POST /swarm/join · POST /swarm/leave · POST /swarm/update · GET /swarm/unlockkey · POST /swarm/unlock
GET /services · POST /services/create · GET /services/x · DELETE /services/x · POST /services/x/update · GET /services/x/logs
GET /tasks · GET /tasks/x · GET /tasks/x/logs
GET /secrets · POST /secrets/create · GET /secrets/x · DELETE /secrets/x · POST /secrets/x/update
GET /configs · POST /configs/create · GET /configs/x · DELETE /configs/x · POST /configs/x/update
"""


def test_every_module_with_routes_is_in_the_table() -> None:
    folder = Path(api.__file__).parent
    with_routes = {path.stem for path in folder.glob("*.py") if "\nROUTES" in path.read_text(encoding="utf-8")}
    assert with_routes == set(api.MODULES)
    assert api.MODULES[-1] == "unsupported"


def test_every_endpoint_has_a_route() -> None:
    router = Router(None, api.routes())
    wanted = [endpoint.split() for line in ENDPOINTS.strip().splitlines() for endpoint in line.split(" · ")]
    assert [f"{method} {path}" for method, path in wanted if router.route(method, path) is None] == []


def test_no_endpoint_has_two() -> None:
    def shape(route: Route) -> tuple[str, str]:
        return route.method, "/".join("{}" if part.startswith("{") else part for part in route.pattern.split("/"))

    counts = Counter(map(shape, api.routes()))
    assert [endpoint for endpoint, count in counts.items() if count > 1] == []
