"""Layers joined with their instructions, against what engines answered (tests/cases/image: an image's history and config)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.image import Layer, chain_ids, clean, layers
from dockerlab.image.instruction import keyword

CASES = sorted((Path(__file__).parents[1] / "cases" / "image").glob("*/image.json"))
A, B, C = ("sha256:" + letter * 64 for letter in "abc")
FILE = "file:" + "0" * 64


def line(created_by: str, size: int = 0) -> dict[str, Any]:
    return {"CreatedBy": created_by, "Size": size, "Created": 7, "Id": "<missing>"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_an_engine_s_history_gives_what_the_image_s_config_says(path: Path) -> None:
    case = json.loads(path.read_text())
    joined, exact = layers(case["history"], case["diff_ids"]), layers(case["config_history"], case["diff_ids"])
    assert [(layer.instruction, layer.diff_id, layer.chain_id) for layer in joined] == [
        (layer.instruction, layer.diff_id, layer.chain_id) for layer in exact
    ]
    assert [layer.empty for layer in exact] == [bool(entry.get("empty_layer")) for entry in case["config_history"]]
    assert [layer.created for layer in joined] == [layer.created for layer in exact]
    assert sum(layer.size for layer in joined) == sum(entry["Size"] for entry in case["history"])


def test_there_are_cases_of_every_engine() -> None:
    assert {path.parent.name.partition("-")[0] for path in CASES} == {"engine20", "engine28", "podman"}


def test_the_oldest_line_comes_first() -> None:
    history = [line('CMD ["x"]'), line("RUN /bin/sh -c make # buildkit", 5), line("ADD rootfs / # buildkit", 9)]
    assert layers(history, [A, B]) == (
        Layer(A, A, "ADD rootfs /", 9, 7),
        Layer(B, chain_ids([A, B])[1], "RUN make", 5, 7),
        Layer(None, None, 'CMD ["x"]', 0, 7),
    )


def test_lines_without_bytes_are_layers_in_order_of_likelihood() -> None:
    history = [
        line(f"/bin/sh -c {c}") for c in ("#(nop) WORKDIR /a", "#(nop) COPY dir:x in /", "true", "mkdir d", "#(nop) WORKDIR /a")
    ]
    ids = [f"sha256:{index:064}" for index in range(5)]
    made = [{layer.instruction for layer in layers(history, ids[:count]) if not layer.empty} for count in range(6)]
    assert [len(instructions) for instructions in made[:5]] == [0, 1, 2, 3, 4]
    assert "WORKDIR /a" in made[2]
    assert "RUN mkdir d" in made[3] - made[2]
    assert "RUN true" in made[4] - made[3]


def test_the_root_is_there_and_no_builder_makes_a_layer_for_it() -> None:
    history = [line(f"{text} # buildkit") for text in ("WORKDIR /", "RUN /bin/sh -c true", "WORKDIR /app", "WORKDIR /app")]
    made = [layer.instruction for layer in layers(history, [A, B, C]) if not layer.empty]
    assert made == ["WORKDIR /app", "WORKDIR /app", "RUN true"]


def test_a_line_that_only_changes_the_config_has_no_layer_even_if_layers_are_left() -> None:
    found = layers([line("CMD [x]"), line("RUN x", 3)], [A, B, C])
    assert [(layer.instruction, layer.diff_id) for layer in found] == [("", A), ("", B), ("RUN x", C), ('CMD ["x"]', None)]


def test_no_history_and_no_layers() -> None:
    assert layers([], []) == ()
    assert [layer.diff_id for layer in layers([], [A, B])] == [A, B]
    assert [layer.empty for layer in layers([line("RUN x", 3)], [])] == [True]


def test_what_an_engine_leaves_out_is_nothing() -> None:
    assert layers([{"CreatedBy": None, "Size": None, "Created": None}], [A]) == (Layer(A, A, "", 0, 0),)
    assert layers([{"created": "not a time"}, {"created": "2020-01-01T00:00:00.123456789Z"}], [A, B])[1].created == 1577836800


def test_chain_ids_by_the_image_spec() -> None:
    # by sha256sum: of `A B`, and of `that C`
    assert chain_ids([]) == ()
    assert chain_ids([A]) == (A,)
    first, second, third = chain_ids([A, B, C])
    assert first == A
    assert second == "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c"
    assert third == "sha256:c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588"


@pytest.mark.parametrize(
    ("created_by", "instruction"),
    [
        ("", ""),
        ("made by hand", "made by hand"),
        ("# debian.sh --arch 'amd64' out/ 'bookworm'", "# debian.sh --arch 'amd64' out/ 'bookworm'"),
        ("/bin/sh -c pip install flask", "RUN pip install flask"),
        ("RUN /bin/sh -c pip install flask # buildkit", "RUN pip install flask"),
        ("RUN /bin/sh -c echo '# buildkit' x # buildkit", "RUN echo '# buildkit' x"),
        ("RUN /bin/sh -c echo a\necho b\n # buildkit", "RUN echo a echo b"),
        ("/bin/sh -c make &&     make install", "RUN make && make install"),
        ("|1 WHO=you /bin/sh -c echo $WHO", "RUN echo $WHO"),
        ("|1 WHO=you and me /bin/sh -c echo $WHO", "RUN echo $WHO"),
        ("|2 A=b /bin/sh -c echo", "RUN echo"),
        ("RUN |2 A=b C= /bin/sh -c x # buildkit", "RUN x"),
        ("|1 A=b /bin/touch /g", "RUN /bin/touch /g"),
        ("RUN |2 A=b C= touch /g # buildkit", "RUN touch /g"),
        ("/bin/touch /g", "RUN /bin/touch /g"),
        ('|1 A=b /bin/sh -c ["touch", "/g"]', 'RUN ["touch", "/g"]'),
        ("RUN /bin/bash -o pipefail -c a | b # buildkit", "RUN a | b"),
        ("/bin/sh -ec x", "RUN x"),
        ("RUN bash script.sh -c x # buildkit", "RUN bash script.sh -c x"),
        ('/bin/sh -c #(nop)  CMD ["flask" "run"]', 'CMD ["flask", "run"]'),
        ('/bin/sh -c #(nop) CMD ["flask", "run"]', 'CMD ["flask", "run"]'),
        ('CMD ["flask" "run"]', 'CMD ["flask", "run"]'),
        ('CMD ["/bin/sh" "-c" "echo \\"a b\\""]', 'CMD echo "a b"'),
        ('ENTRYPOINT ["/bin/sh" "-c" "echo hi"]', "ENTRYPOINT echo hi"),
        ('ENTRYPOINT ["\\x1b"]', 'ENTRYPOINT ["\\\\x1b"]'),
        ("/bin/sh -c #(nop)  CMD []", 'CMD [""]'),
        ("/bin/sh -e -c #(nop)  SHELL [/bin/sh -e -c]", 'SHELL ["/bin/sh", "-e", "-c"]'),
        (f"/bin/sh -c #(nop) COPY {FILE} in /app/ ", "COPY … /app/"),
        (f"/bin/sh -c #(nop) ADD {FILE.replace('file', 'multi')} in /a b ", "ADD … /a b"),
        (f"/bin/sh -c #(nop) COPY --chown=1:1{FILE} in /app/ ", "COPY --chown=1:1 … /app/"),
        (f"/bin/sh -c #(nop) COPY --chown=1:1 {FILE} in /app/ ", "COPY --chown=1:1 … /app/"),
        ("COPY . . # buildkit", "COPY . ."),
        ("/bin/sh -c #(nop)  EXPOSE 5000", "EXPOSE 5000"),
        ("EXPOSE map[5000/tcp:{}]", "EXPOSE 5000"),
        ("EXPOSE [53/udp 80/tcp]", "EXPOSE 53/udp 80"),
        ("VOLUME [/v /w]", "VOLUME /v /w"),
        ('/bin/sh -c #(nop) VOLUME ["/v", "/w"]', "VOLUME /v /w"),
        ('HEALTHCHECK &{["CMD-SHELL" "cat /f"] "30s" "0s" "0s" \'\\x00\'}', "HEALTHCHECK CMD cat /f"),
        ("/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL cat /f] 30s 0s 0s 0s 0}", "HEALTHCHECK CMD cat /f"),
        ('/bin/sh -c #(nop)  HEALTHCHECK &{["CMD" "cat" "/f"] "0s" "0s" "0s" \'\\x00\'}', 'HEALTHCHECK CMD ["cat", "/f"]'),
        ("HEALTHCHECK &{[NONE] 0s 0s 0s 0s 0}", "HEALTHCHECK NONE"),
        ("/bin/sh -c #(nop) HEALTHCHECK --interval=30s CMD cat /f", "HEALTHCHECK --interval=30s CMD cat /f"),
        ("/bin/sh -c #(nop)  ENV E=x y", "ENV E=x y"),
        ("/bin/sh -c #(nop)  ONBUILD RUN x", "ONBUILD RUN x"),
        ("/bin/sh -c echo '#(nop) x'", "RUN echo '#(nop) x'"),
    ],
)
def test_an_instruction_in_one_form(created_by: str, instruction: str) -> None:
    assert clean(created_by) == instruction


def test_keyword() -> None:
    assert [keyword(text) for text in ("RUN make", "made by hand", "", "# x", "A1 x")] == ["RUN", "", "", "", ""]
