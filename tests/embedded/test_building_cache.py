"""The cache of steps, on each rung: what a step depends on, also where it looks alike; what it takes from an image of elsewhere;
and stages side by side that have something in common."""

from __future__ import annotations

import threading

from tests.embedded.builds import Files, build, building, read
from tests.embedded.rungs import OwnEngine


def test_the_cache_knows_what_a_step_depends_on(own: OwnEngine) -> None:
    text = "FROM busybox\nARG A=1\nENV E=1\nRUN echo one > /one\nCOPY file /file\nRUN cat /file\n"
    first = build(own.client, text, {"file": "1"}, nocache=True)
    assert first.cached == 0
    again = build(own.client, text, {"file": "1"})
    assert (again.cached, again.image) == (5, first.image)
    assert build(own.client, text, {"file": ("1", 0o755)}).cached == 3
    assert build(own.client, text, {"file": "2"}).cached == 3
    assert build(own.client, text, {"file": "1"}, buildargs={"A": "2"}).cached == 2
    assert build(own.client, text.replace("E=1", "E=2"), {"file": "1"}).cached == 1
    assert build(own.client, text, {"file": "1", "other": "x"}).cached == 5
    assert build(own.client, text, {"file": "1"}, nocache=True).cached == 0


def test_cache_from_an_image_that_came_from_elsewhere(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nENV A=1\nCMD cat /id\n"
    first = build(own.client, text, tag="elsewhere:1", nocache=True)
    identity = Files(own.client, first.image).text("id")
    archive = own.client.ask("GET", "/images/elsewhere:1/get").body
    assert own.client.ask("DELETE", "/images/elsewhere:1", force=1).status == 200
    assert own.client.post("/images/load", archive).status == 200
    assert Files(own.client, build(own.client, text).image).text("id") != identity
    own.client.post("/images/prune")
    found = build(own.client, text, cachefrom=["elsewhere:1", "not-there:1"])
    assert found.cached == 3
    assert Files(own.client, found.image).text("id") == identity


def test_cache_from_does_not_take_what_a_text_does_not_tell(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=bind,source=file,target=/f cat /f > /copied\n"
    build(own.client, text, {"file": "one"}, tag="told:2")
    archive = own.client.ask("GET", "/images/told:2/get").body
    assert own.client.ask("DELETE", "/images/told:2", force=1).status == 200
    assert own.client.post("/images/load", archive).status == 200
    found = build(own.client, text, {"file": "two"}, cachefrom=["told:2"])
    assert Files(own.client, found.image).text("copied") == "two"


def test_where_a_word_of_a_command_ends(own: OwnEngine) -> None:
    text = 'FROM busybox\nRUN ["sh", "-c", "echo $0 > /word", %s]\n'
    found = [Files(own.client, build(own.client, text % words).image).text("word") for words in ('"a b"', '"a", "b"')]
    assert found == ["a b\n", "a\n"]


def test_where_the_value_of_an_argument_ends(own: OwnEngine) -> None:
    text = 'FROM busybox\nARG A\nARG B\nARG C\nRUN echo "$A/$B/$C" > /values\n'
    given = ({"A": "1 B=2", "C": "3"}, {"A": "1", "B": "2 C=3"})
    found = [Files(own.client, build(own.client, text, buildargs=args).image).text("values") for args in given]
    assert found == ["1 B=2//3\n", "1/2 C=3/\n"]


def test_stages_that_run_on_nothing_do_not_take_it_from_each_other(own: OwnEngine) -> None:
    run = 'RUN --mount=type=bind,from=busybox,target=/box ["/box/bin/busybox", "sleep", "%s"]\n'
    text = f"FROM scratch AS a\n{run % 1}FROM scratch AS b\n{run % 0.3}FROM busybox\nCOPY --from=a / /a/\nCOPY --from=b / /b/\n"
    before = len(own.client.get("/images/json", all=1))
    built = build(own.client, text, nocache=True, buildargs={"SOURCE_DATE_EPOCH": "100"})
    assert built.image
    assert len(own.client.get("/images/json", all=1)) == before + 4


def test_a_stage_that_says_much_does_not_keep_a_cache_from_the_one_that_is_read(own: OwnEngine) -> None:
    mount = "RUN --mount=type=cache,id=much,target=/much,sharing=locked"
    # More than a stage may say that nobody reads yet.
    text = f"""
        FROM busybox AS a
        RUN sleep 1
        {mount} true
        FROM busybox AS b
        {mount} head -c 40000000 /dev/zero | tr '\\0' x
        FROM busybox
        COPY --from=a /etc/passwd /a
        COPY --from=b /etc/passwd /b
        """
    with building(own.client, text, nocache=True) as talk:
        assert read(talk).image


def test_pruning_and_removing_all_the_time_takes_nothing_from_a_build(own: OwnEngine) -> None:
    is_over = threading.Event()

    def prune() -> None:
        while not is_over.is_set():
            own.client.ask("POST", "/images/prune")

    text = "FROM scratch\n" + "".join(f"ENV A={number}\nWORKDIR /{number}\n" for number in range(8))
    thread = threading.Thread(target=prune)
    thread.start()
    try:
        for cached in (False, True):
            assert build(own.client, text, tag="kept:1", nocache=not cached).image
    finally:
        is_over.set()
        thread.join()


def test_what_the_file_system_refuses_ends_a_build_with_a_message(own: OwnEngine) -> None:
    caches = own.home.root / "caches"
    aside = caches.with_name("aside")
    if caches.exists():
        caches.rename(aside)
    caches.touch()
    try:
        assert "File exists" in build(own.client, "FROM busybox\nRUN --mount=type=cache,target=/c true # refused\n").error
    finally:
        caches.unlink()
        if aside.exists():
            aside.rename(caches)


def test_a_line_of_passwd_ends_with_a_line_feed_and_nothing_else(own: OwnEngine) -> None:
    files = {"passwd": "one:x:1:1:first\x0btwo:x:2:2::/:/bin/sh\n", "file": ""}
    built = build(own.client, "FROM scratch\nCOPY passwd /etc/\nCOPY --chown=two file /\n", files)
    assert "unable to find user two" in built.error
