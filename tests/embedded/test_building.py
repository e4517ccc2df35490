"""Whole builds, on each rung: what is told, stages, variables, the configuration, ONBUILD; how they end, and what is left."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.embedded.builds import Built, Files, build, building, read
from tests.embedded.rungs import OwnEngine, eventually


def config(own: OwnEngine, built: Built) -> dict[str, object]:
    found: dict[str, object] = own.client.get(f"/images/{built.image}/json")["Config"]
    return found


def test_the_stream_is_the_classic_builders(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN echo out; echo err >&2\nCMD pwd\n", tag="told:1", nocache=True)
    (container,) = built.containers
    ids = [line.removeprefix(" ---> ").strip() for line in built.log.split("\n") if line.startswith(" ---> ") and len(line) == 18]
    assert built.log == "".join(
        [
            f"Step 1/3 : FROM busybox\n ---> {ids[0]}\n",
            f"Step 2/3 : RUN echo out; echo err >&2\n ---> Running in {container}\nout\n\x1b[91merr\n\x1b[0m",
            f" ---> Removed intermediate container {container}\n ---> {ids[1]}\n",
            f"Step 3/3 : CMD pwd\n ---> {ids[2]}\nSuccessfully built {ids[2]}\nSuccessfully tagged told:1\n",
        ]
    )
    assert built.image.startswith(f"sha256:{ids[2]}")
    assert own.client.get("/images/told:1/json")["Id"] == built.image
    # Each step's image can be run.
    assert own.client.wait(own.client.run("true", Image=ids[1])) == 0


def test_events_tell_of_each_image(own: OwnEngine) -> None:
    began = time.time()
    built = build(own.client, "FROM busybox\nLABEL a=b\nENV c=d\n", tag="heard:1", nocache=True)
    cached = build(own.client, "FROM busybox\nLABEL a=b\nENV c=d\n", tag="heard:1")
    assert (cached.image, cached.cached) == (built.image, 2)
    reply = own.client.ask(
        "GET", "/events", since=f"{began:.9f}", until=f"{time.time():.9f}", filters={"type": ["image"], "label": ["a=b"]}
    )
    heard = [json.loads(line) for line in reply.body.splitlines()]
    assert [event["Action"] for event in heard] == ["create", "create", "tag", "tag"]
    assert heard[1]["Actor"]["ID"] == heard[1]["Actor"]["Attributes"]["name"] == built.image


def test_quiet(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN echo out\n", q=True)
    assert [*built.messages] == [{"stream": f"{own.client.get('/images/json')[0]['Id']}\n"}] or built.log.startswith("sha256:")
    assert len(built.messages) == 1


def test_a_command_that_fails(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN echo before; exit 3\nRUN echo never\n", tag="failed:1")
    assert built.messages[-1] == {
        "errorDetail": {"code": 3, "message": "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3"},
        "error": "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3",
    }
    assert "before\n" in built.log
    assert "never" not in built.log
    assert own.client.ask("GET", "/images/failed:1/json").status == 404


def test_a_program_that_is_not_there(own: OwnEngine) -> None:
    built = build(own.client, 'FROM busybox\nRUN ["/nothere"]\n')
    assert 'exec: "/nothere"' in built.error
    assert "no such file or directory" in built.error


@pytest.mark.parametrize(
    ("dockerfile", "query", "status", "text"),
    [
        (
            "FROM busybox\nRUM x\n",
            {},
            400,
            "dockerfile parse error on line 2: unknown instruction: RUM\n2 | RUM x\n  | ^\nDid you mean RUN?",
        ),
        ("", {}, 400, "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM busybox\n", {"target": "nope"}, 400, 'target stage "nope" could not be found'),
        ("FROM busybox\n", {"dockerfile": "nofile"}, 500, "Cannot locate specified Dockerfile: nofile"),
        ("FROM busybox\n", {"version": "2", "remote": "client-session"}, 400, "needs one: session=ID"),
        ("FROM busybox\n", {"platform": "linux/s390x"}, 400, "cannot build for linux/s390x"),
        ("FROM busybox AS a\nCOPY --from=b / /\nFROM busybox AS b\nCOPY --from=a / /\n", {}, 400, "circular dependency"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_place(
    own: OwnEngine, dockerfile: str, query: dict[str, str], status: int, text: str
) -> None:
    built = build(own.client, dockerfile, **query)
    assert built.status == status
    assert text in built.refusal


def test_a_stage_that_nobody_needs_is_not_built_and_a_target_ends_it(own: OwnEngine) -> None:
    text = """
        FROM busybox AS base
        RUN echo base > /base
        FROM base AS unused
        RUN exit 1
        FROM base AS last
        RUN cat /base
        FROM unused
        """
    built = build(own.client, text, target="last")
    assert built.steps == ["FROM busybox AS base", "RUN echo base > /base", "FROM base AS last", "RUN cat /base"]
    assert "Step 6/6 : RUN cat /base" in built.log
    assert "\nbase\n" in built.log


def test_stages_run_side_by_side_and_are_told_one_after_the_other(own: OwnEngine) -> None:
    """Each waits for the other's file in a cache that they share."""
    until = "i=0; until [ -e /c/{2} ] || [ $i = 300 ]; do sleep 0.1; i=$((i+1)); done; [ $i != 300 ]"
    wait = f"RUN --mount=type=cache,target=/c,id=meet-{{0}} touch /c/{{1}}; {until}"
    name = time.time_ns()
    text = "\n".join(
        [
            "FROM busybox AS one",
            wait.format(name, "one", "two"),
            "FROM busybox AS two",
            wait.format(name, "two", "one"),
            "FROM busybox",
            "COPY --from=one /bin/true /1",
            "COPY --from=two /bin/true /2",
        ]
    )
    built = build(own.client, text, nocache=True)
    assert built.image
    numbers = [int(line.split()[1].partition("/")[0]) for line in built.log.split("\n") if line.startswith("Step ")]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]


def test_variables(own: OwnEngine) -> None:
    text = """
        ARG BASE=busybox
        ARG LATER=default
        FROM ${BASE:-nothing} AS first
        ARG LATER
        ARG OWN=own
        ARG UNSET
        ENV FROM_ARG=$LATER-${OWN%n}-${UNSET:-unset}
        ENV OWN=env
        RUN echo "$LATER $OWN ${UNSET:-empty} $FROM_ARG $HTTP_PROXY"
        FROM first
        ARG x=a y=$x z=${z?not looked at}
        RUN echo "next: $FROM_ARG $LATER $y$z"
        FROM busybox
        COPY --from=1 /bin/true /true
        RUN echo "apart: ${LATER:-gone}"
        """
    built = build(own.client, text, buildargs={"LATER": "given", "HTTP_PROXY": "proxy", "NONE": "x", "z": "z"}, nocache=True)
    assert "given env empty given-ow-unset proxy\n" in built.log
    assert "next: given-ow-unset given az\n" in built.log
    assert "apart: gone\n" in built.log
    assert "[Warning] One or more build-args [NONE] were not consumed\n" in built.log
    first = build(own.client, text, buildargs={"LATER": "given", "HTTP_PROXY": "proxy"}, target="first")
    assert config(own, first)["Env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "FROM_ARG=given-ow-unset",
        "OWN=env",
    ]
    assert "proxy" not in str(own.client.get(f"/images/{first.image}/history"))


def test_the_configuration(own: OwnEngine) -> None:
    text = """
        FROM busybox
        SHELL ["/bin/sh", "-ec"]
        WORKDIR /a
        WORKDIR b
        USER 1000:1000
        EXPOSE 80 90-91/udp
        VOLUME /data ["/more"]
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=3s --retries=2 CMD test -e /ok
        ONBUILD RUN true
        LABEL one=1 "two words"="a b"
        ENTRYPOINT ["/bin/echo"]
        CMD echo $HOME
        """
    found = config(own, build(own.client, text.replace('/data ["/more"]', "/data /more"), labels={"given": "yes"}))
    labels = found["Labels"]
    assert isinstance(labels, dict)
    assert {name: value for name, value in labels.items() if not name.startswith("dockerlab")} == {
        "one": "1",
        "two words": "a b",
        "given": "yes",
    }
    assert {name: found[name] for name in ("WorkingDir", "User", "StopSignal", "Shell", "OnBuild", "Entrypoint", "Cmd")} == {
        "WorkingDir": "/a/b",
        "User": "1000:1000",
        "StopSignal": "SIGINT",
        "Shell": ["/bin/sh", "-ec"],
        "OnBuild": ["RUN true"],
        "Entrypoint": ["/bin/echo"],
        "Cmd": ["/bin/sh", "-ec", "echo $HOME"],
    }
    assert found["ExposedPorts"] == {"80/tcp": {}, "90/udp": {}, "91/udp": {}}
    assert found["Volumes"] == {"/data": {}, "/more": {}}
    assert found["Healthcheck"] == {"Test": ["CMD-SHELL", "test -e /ok"], "Interval": 3 * 10**9, "Retries": 2}


def test_an_entrypoint_takes_away_a_command_that_was_inherited(own: OwnEngine) -> None:
    assert config(own, build(own.client, 'FROM busybox\nCMD ["a"]\nENTRYPOINT ["b"]\n'))["Cmd"] == ["a"]
    assert not config(own, build(own.client, 'FROM busybox\nENTRYPOINT ["b"]\n'))["Cmd"]


def test_onbuild(own: OwnEngine) -> None:
    base = build(own.client, "FROM busybox\nONBUILD RUN echo trigger > /t\nONBUILD ENV T=1\n", tag="onbuild:1")
    assert base.image
    built = build(own.client, "FROM onbuild:1\nRUN cat /t; echo $T\n")
    assert "Step 1/2 : FROM onbuild:1\n" in built.log
    assert "# Executing 2 build triggers\n" in built.log
    assert "\ntrigger\n1\n" in built.log
    assert not config(own, built)["OnBuild"]


def test_source_date_epoch_makes_the_same_image(own: OwnEngine) -> None:
    text = "FROM busybox\nARG SOURCE_DATE_EPOCH\nWORKDIR /w\nRUN echo x > /w/x && mkdir /w/d\nCOPY file /w/\n"
    asked = {"buildargs": {"SOURCE_DATE_EPOCH": "1000000000"}, "nocache": True}
    first, second = (build(own.client, text, {"file": "1"}, **asked) for _ in range(2))
    assert first.image == second.image
    found = own.client.get(f"/images/{first.image}/json")
    assert found["Created"].startswith("2001-09-09T01:46:40")
    assert max(entry.mtime for name, entry in Files(own.client, first.image).entries.items() if name.startswith("w")) <= 10**9


def test_nothing_is_made_of_nothing(own: OwnEngine) -> None:
    assert build(own.client, "FROM scratch\n").error == "No image was generated. Is your Dockerfile empty?"
    built = build(own.client, "FROM scratch\nLABEL a=b\n")
    assert own.client.get(f"/images/{built.image}/json")["RootFS"]["Layers"] == []
    before = len(own.client.get("/images/json", all=1))
    assert "no such file or directory" in build(own.client, "FROM scratch\nRUN true\n", nocache=True).error
    assert len(own.client.get("/images/json", all=1)) == before


SLOW = "FROM busybox\nRUN echo {} begun; touch /x; sleep 600\n"


def test_a_client_that_leaves_ends_the_step_at_once(own: OwnEngine) -> None:
    with building(own.client, SLOW.format("leave"), nocache=True) as talk:
        assert talk.head().status == 200
        while b"leave begun" not in talk.chunk():
            pass
        eventually(lambda: len(own.client.get("/containers/json")) == 1, "its container is not listed")
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")
    eventually(lambda: not [*own.home.tmp.iterdir()], "something is left of it")


def test_stages_end_together(own: OwnEngine) -> None:
    text = SLOW.format("a").replace("busybox", "busybox AS a")
    text += "FROM busybox AS b\nRUN sleep 1; exit 4\nFROM busybox\nCOPY --from=a / /a\nCOPY --from=b / /b\n"
    started = time.monotonic()
    built = build(own.client, text, nocache=True)
    assert built.messages[-1]["errorDetail"]["code"] == 4
    assert time.monotonic() - started < 60


def test_an_engine_that_is_killed_leaves_nothing_of_a_build(own: OwnEngine) -> None:
    images = {image["Id"] for image in own.client.get("/images/json", all=1)}
    with building(own.client, SLOW.format("killed"), nocache=True) as talk:
        assert talk.head().status == 200
        while b"killed begun" not in talk.chunk():
            pass
        own.kill()
    own.start()
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container is still there")
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")
    assert {image["Id"] for image in own.client.get("/images/json", all=1)} == images
    assert not own.check()


def test_pruning_while_a_build_goes_on_takes_nothing_from_it(own: OwnEngine) -> None:
    text = "FROM busybox\nENV A=1\nRUN echo pruned begun; sleep 2\nENV B=1\nRUN echo after\n"
    found: list[Built] = []
    with building(own.client, text, nocache=True) as talk:
        thread = threading.Thread(target=lambda: found.append(read(talk)))
        thread.start()
        while thread.is_alive():
            own.client.post("/images/prune")
            time.sleep(0.05)
        thread.join()
    assert found[0].image
