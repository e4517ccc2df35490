"""Services: flags → the body of a request, by tables; an engine's answers → values and their faces; what a refusal means."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.errors import ServiceFailed, UsageError
from dockerlab.faces import service as faces
from dockerlab.services import following, options, spec
from dockerlab.services.model import Inspection, Service, service_of
from dockerlab.swarm.nodes import Node, Nodes
from dockerlab.swarm.refusals import no_manager

IDS = spec.Ids({"db": "s1"}, {"motd": "c1"}, {"cafe": "n1"})
IMAGE = "app:1@sha256:" + "0" * 64


def new(**given: Any) -> dict[str, Any]:
    return spec.new("web", "app", [], given, IDS, {"HERE": "yes"})  # type: ignore[arg-type]


def changed(there: dict[str, Any], **given: Any) -> dict[str, Any]:
    return spec.changed(there, given, IDS, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "made"),
    [
        ("5000", {"Protocol": "tcp", "TargetPort": 5000, "PublishMode": "ingress"}),
        ("8080:5000/udp", {"Protocol": "udp", "TargetPort": 5000, "PublishedPort": 8080, "PublishMode": "ingress"}),
        ("mode=host,target=5000", {"Protocol": "tcp", "TargetPort": 5000, "PublishMode": "host"}),
        (
            "published=8080,target=5000,mode=host,protocol=sctp",
            {"Protocol": "sctp", "TargetPort": 5000, "PublishedPort": 8080, "PublishMode": "host"},
        ),
    ],
)
def test_a_port(item: str, made: dict[str, Any]) -> None:
    assert options.port("-p", item) == made


@pytest.mark.parametrize(
    "item", ["", "x", "127.0.0.1:80:80", "mode=host", "mode=x,target=1", "target=0", "target=65536", "target=1,nothing=2", "target"]
)
def test_what_is_no_port_is_refused(item: str) -> None:
    with pytest.raises(UsageError, match=r"^-p"):
        options.port("-p", item)


def test_all_of_a_new_service() -> None:
    made = new(
        replicas="3",
        env=["A=1", "HERE", "NOT_HERE"],
        label="tier=front",
        publish=["mode=host,target=5000"],
        endpoint_mode="dnsrr",
        secret=["db", "source=db,target=/run/it,mode=0400,uid=7"],
        config="motd",
        network=["cafe", "name=bar,alias=b"],
        constraint="node.role==worker",
        mount="type=volume,source=data,target=/data,readonly",
        limit_memory="256m",
        limit_cpu="0.5",
        reserve_memory="1g",
        restart_condition="on-failure",
        restart_delay="1m30s",
        update_delay="10s",
        update_failure_action="rollback",
        rollback_order="start-first",
        health_cmd="true",
        stop_grace_period="3s",
        user="1000",
        workdir="/app",
        entrypoint="sh -c",
    )
    container = made["TaskTemplate"]["ContainerSpec"]
    assert made["Name"] == "web"
    assert made["Mode"] == {"Replicated": {"Replicas": 3}}
    assert made["Labels"] == {"tier": "front"}
    assert container["Env"] == ["A=1", "HERE=yes", "NOT_HERE"]
    assert (container["User"], container["Dir"], container["Command"]) == ("1000", "/app", ["sh", "-c"])
    assert [(one["SecretID"], one["File"]["Name"], one["File"]["Mode"], one["File"]["UID"]) for one in container["Secrets"]] == [
        ("s1", "db", 0o444, "0"),
        ("s1", "/run/it", 0o400, "7"),
    ]
    assert container["Configs"][0]["File"]["Name"] == "/motd"
    assert container["Mounts"] == [{"Type": "volume", "Target": "/data", "Source": "data", "ReadOnly": True}]
    assert container["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert container["StopGracePeriod"] == 3 * 10**9
    task = made["TaskTemplate"]
    assert task["Networks"] == [{"Target": "n1"}, {"Target": "bar", "Aliases": ["b"]}]
    assert task["Placement"] == {"Constraints": ["node.role==worker"]}
    assert task["Resources"] == {
        "Limits": {"MemoryBytes": 256 << 20, "NanoCPUs": 5 * 10**8},
        "Reservations": {"MemoryBytes": 1 << 30},
    }
    assert task["RestartPolicy"] == {"Condition": "on-failure", "Delay": 90 * 10**9}
    assert made["UpdateConfig"] == {"Parallelism": 1, "Delay": 10 * 10**9, "FailureAction": "rollback"}
    assert made["RollbackConfig"] == {"Parallelism": 1, "Order": "start-first"}
    assert made["EndpointSpec"]["Mode"] == "dnsrr"


def test_a_change_changes_what_is_named_and_no_more() -> None:
    there = new(
        env=["A=1", "B=2"], secret="db", publish=["8080:5000", "9090:9000"], constraint="a==b", label="x=1", limit_memory="1g"
    )
    made = changed(
        there,
        image="app:2",
        env_add=["B=3", "C=4"],
        env_rm="A",
        secret_rm="db",
        publish_add="8081:5000",
        publish_rm="9000",
        constraint_rm="a==b",
        label_add="y=2",
        limit_cpu="2",
        force=True,
        args="run 'a b'",
    )
    container, task = made["TaskTemplate"]["ContainerSpec"], made["TaskTemplate"]
    assert there["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1", "B=2"]
    assert (container["Image"], container["Args"], task["ForceUpdate"]) == ("app:2", ["run", "a b"], 1)
    assert container["Env"] == ["B=3", "C=4"]
    assert container["Secrets"] == []
    assert [one["PublishedPort"] for one in made["EndpointSpec"]["Ports"]] == [8081]
    assert task["Placement"]["Constraints"] == []
    assert made["Labels"] == {"x": "1", "y": "2"}
    assert task["Resources"]["Limits"] == {"MemoryBytes": 1 << 30, "NanoCPUs": 2 * 10**9}
    assert spec.scaled(there, 6)["Mode"] == {"Replicated": {"Replicas": 6}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "everywhere"}, "--mode 'everywhere'"),
        ({"mode": "global", "replicas": 2}, "--replicas"),
        ({"replicas": "many"}, "--replicas 'many'"),
        ({"secret": "none"}, "--secret 'none': the Swarm has no secret"),
        ({"endpoint_mode": "dnsrr", "publish": "80:80"}, "--endpoint-mode dnsrr"),
        ({"endpoint_mode": "x"}, "--endpoint-mode 'x'"),
        ({"limit_memory": "much"}, "--limit-memory 'much'"),
        ({"limit_cpu": "much"}, "--limit-cpu 'much'"),
        ({"update_delay": "10"}, "--update-delay '10'"),
        ({"update_order": "first"}, "--update-order 'first'"),
        ({"rollback_failure_action": "rollback"}, "--rollback-failure-action 'rollback'"),
        ({"update_max_failure_ratio": 2}, "--update-max-failure-ratio '2'"),
        ({"constraint": "node1"}, "--constraint 'node1'"),
        ({"mount": "type=x,target=/x"}, "--mount 'type=x,target=/x'"),
        ({"no_healthcheck": True, "health_cmd": "true"}, "--no-healthcheck"),
    ],
)
def test_what_is_wrong_is_said_with_its_flag(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        new(**given)
    assert caught.value.message.startswith(said)


def test_a_keyword_that_there_is_not_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a service has no 'replica'"):
        new(replica=3)


# Values and faces

NODES = Nodes(
    Node(
        f"n{i}",
        f"machine{i}",
        "down" if i == 3 else "ready",
        "manager",
        "active",
        f"10.0.0.{i}",
        i == 1,
        "reachable",
        i == 1,
        {"Description": {"Engine": {"EngineVersion": "28"}}},
    )
    for i in (1, 2, 3)
)


def task(
    slot: int, node: int, state: str, desired: str = "running", *, image: str = IMAGE, err: str = "", created: int = 0
) -> dict[str, Any]:
    return {
        "ID": f"t{slot}{node}{created}",
        "CreatedAt": f"2026-01-01T00:00:{created:02}.123456789Z",
        "Slot": slot,
        "NodeID": f"n{node}" if node else "",
        "DesiredState": desired,
        "Spec": {"ContainerSpec": {"Image": image, "Args": ["--token", "hunter2"], "Env": ["PASSWORD=hunter2"]}},
        "Status": {
            "State": state,
            "Err": err,
            "Timestamp": "2026-01-01T00:00:00.123456789Z",
            "PortStatus": {"Ports": [{"TargetPort": 5000, "PublishedPort": 30000 + slot, "PublishMode": "host"}] * 2},
        },
    }


def service(tasks: list[dict[str, Any]], replicas: int = 3, update: dict[str, str] | None = None, name: str = "web") -> Service:
    attrs = {
        "ID": "service1",
        "Spec": {
            "Name": name,
            "Mode": {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {"ContainerSpec": {"Image": IMAGE, "Args": ["--token", "hunter2"], "Env": ["PASSWORD=hunter2"]}},
            "EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 5000, "PublishMode": "host", "Protocol": "tcp"}]},
        },
        **({"UpdateStatus": update} if update else {}),
    }
    return service_of(attrs, tasks, NODES)


def test_what_runs_where() -> None:
    found = service(
        [
            task(1, 1, "running"),
            task(2, 2, "failed", "shutdown", err="task: non-zero exit (3)", created=1),
            task(2, 2, "preparing", created=2),
            task(3, 3, "running"),
        ]
    )
    assert repr(found) == "service web (app:1): 1 of 3 run"
    assert [one.facts.name for one in found.running] == ["web.1"]
    assert found.urls(5000) == ("http://10.0.0.1:30001/",)
    assert [(one.facts.name, one.facts.is_current) for one in found.tasks] == [
        ("web.1", True),
        ("web.2", True),
        ("web.2", False),
        ("web.3", True),
    ]
    assert found.tasks[1].facts.said == "before: task: non-zero exit (3)"
    picture = str(found)
    assert "machine3 (down)" in picture
    assert "● web.1  running  30001→5000" in picture
    html = found._repr_html_()
    assert "3 run" in html
    assert "1 of 3 run" in html
    assert "hunter2" not in html + picture + str(Inspection(found.attrs)["Spec"]["Name"])
    assert "PASSWORD=***" in str(Inspection(found.attrs))


def test_a_replica_that_is_given_up_is_still_shown_and_one_that_is_scaled_away_is_not() -> None:
    found = service(
        [task(1, 1, "failed", "shutdown", err="no"), task(2, 2, "shutdown", "remove"), task(9, 2, "failed", "shutdown")], 1
    )
    assert [(one.name, one.state) for one in found.facts.tasks] == [("web.1", "failed")]
    assert found.facts.kind == "failed"


def test_old_tasks_of_an_update_are_told_apart() -> None:
    update = {"State": "paused", "Message": "update paused due to failure or early termination of task t1"}
    found = service([task(1, 1, "running", image="app:0"), task(2, 2, "running"), task(3, 1, "running")], update=update)
    assert [one.is_old for one in found.facts.tasks] == [True, False, False]
    assert repr(found).endswith("3 of 3 run, update paused")
    assert "update paused due to" in found._repr_html_()


def test_what_an_engine_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>\x1b[2J"
    found = service([task(1, 1, "rejected", "shutdown", err=evil, image=evil)], 1, {"State": evil, "Message": evil}, evil)
    for face in (found._repr_html_(), faces.html([found.facts]), faces.tasks_html(evil, [one.facts for one in found.tasks])):
        assert "<script>" not in face
        assert "\x1b" not in face
    assert "\x1b" not in str(found) + repr(found)


def test_many_replicas_fold() -> None:
    found = service([task(slot, 1, "running") for slot in range(1, 101)], 100)
    assert "and 40 more" in found._repr_html_()


# What comes of it


def refused(found: Service, doing: following.Doing) -> str:
    """What is said of it, or nothing where all is well so far."""
    try:
        following._refuse(found, doing, list(found.tasks))
    except ServiceFailed as error:
        return "\n".join(error.lines())
    return ""


@pytest.mark.parametrize(
    ("state", "doing", "said"),
    [
        ("paused", "update", "the update of service 'web' failed and is paused"),
        ("rollback_completed", "update", "the update of service 'web' failed and was rolled back"),
        ("rollback_paused", "rollback", "the rollback of service 'web' failed, and so did going back: it is paused"),
        ("rollback_completed", "rollback", ""),
        ("completed", "update", ""),
        ("updating", "update", ""),
        ("paused", "scale", ""),
    ],
)
def test_how_an_update_ends(state: str, doing: following.Doing, said: str) -> None:
    found = service([task(1, 1, "failed", "shutdown", err="task: non-zero exit (3)")], 1, {"State": state, "Message": "why"})
    told = refused(found, doing)
    assert told.partition("\n")[0] == said
    assert ("web.1 on machine1: task: non-zero exit (3)" in told) == bool(said)


def test_a_replica_that_fails_three_times_is_given_up() -> None:
    twice = [task(1, 1, "failed", "shutdown", err="no", created=i) for i in range(2)]
    assert refused(service(twice, 1), "create") == ""
    thrice = [*twice, task(1, 2, "rejected", "shutdown", err="No such image: app", created=3)]
    assert refused(service(thrice, 1), "create").startswith("service 'web' does not run: web.1 failed 3 times")
    assert refused(service([*thrice, task(1, 1, "running", created=4)], 1), "create") == ""


def test_what_it_means_to_be_no_manager() -> None:
    assert no_manager({"LocalNodeState": "inactive"}, "x").message == "cannot x: this engine is in no Swarm"
    worker = no_manager({"LocalNodeState": "active", "RemoteManagers": [{"Addr": "10.0.0.1:2377"}]}, "x")
    assert worker.evidence == ("a manager: 10.0.0.1:2377",)
    assert "%swarm promote" in str(worker.hint)
    assert "docker swarm unlock" in str(no_manager({"LocalNodeState": "locked"}, "x").hint)
    assert "has not got into" in no_manager({"LocalNodeState": "pending"}, "x").message
