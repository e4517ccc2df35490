/** What of a live view needs no page: colours of lines, the end of a log, what is lit and what is shown. */
import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "../src/view/ansi.js";
import { chosen, shown } from "../src/view/filter.js";
import { shared, words } from "../src/view/lights.js";
import { MOST, Ring, matches } from "../src/view/ring.js";

/** The pieces of a line, as `[text, style]`. */
const pieces = (line, style) => parse(line, style).pieces.map((piece) => [piece.text, piece.style]);

for (const [what, line, expected] of [
  ["plain text", "a <b> c", [["a <b> c", {}]]],
  ["nothing", "", []],
  [
    "a colour and its end",
    "\x1b[31mred\x1b[0m no\x1b[m",
    [
      ["red", { fg: 1 }],
      [" no", {}],
    ],
  ],
  [
    "bright colours, backgrounds and defaults",
    "\x1b[92;44ma\x1b[39mb\x1b[49;107mc",
    [
      ["a", { fg: 10, bg: 4 }],
      ["b", { bg: 4 }],
      ["c", { bg: 15 }],
    ],
  ],
  [
    "weights",
    "\x1b[1;3;4ma\x1b[22mb\x1b[23;24;7mc\x1b[27md",
    [
      ["a", { bold: true, italic: true, underline: true }],
      ["b", { italic: true, underline: true }],
      ["c", { inverse: true }],
      ["d", {}],
    ],
  ],
  [
    "256 colours",
    "\x1b[38;5;9ma\x1b[38;5;196mb\x1b[48;5;244mc\x1b[38;5;300md",
    [
      ["a", { fg: 9 }],
      ["b", { fg: "#ff0000" }],
      ["c", { fg: "#ff0000", bg: "#808080" }],
      ["d", { fg: "#ff0000", bg: "#808080" }],
    ],
  ],
  [
    "16 million colours, and what follows them",
    "\x1b[38;2;1;2;255;1ma\x1b[48:2:0:16:32mb",
    [
      ["a", { fg: "#0102ff", bold: true }],
      ["b", { fg: "#0102ff", bold: true, bg: "#001020" }],
    ],
  ],
  ["other sequences", "\x1b[2K\x1b[1;5Ha\x1b]0;title\x07b\x1b(Bc\x1b[?25ld\x07", [..."abcd"].map((text) => [text, {}])],
  ["a sequence that is cut off", "a\x1b[3", [["a", {}]]],
  ["an unknown code", "\x1b[99;31ma", [["a", { fg: 1 }]]],
  ["what was overwritten", "10 %\r50 %\r\x1b[32m100 %\r", [["100 %", { fg: 2 }]]],
  ["a tabulator", "a\tb", [["a\tb", {}]]],
])
  test(what, () => assert.deepEqual(pieces(line), expected));

test("a style goes on in the next line", () => {
  const { style } = parse("\x1b[31;1m");
  assert.deepEqual(pieces("a", style), [["a", { fg: 1, bold: true }]]);
});

const texts = (ring) => ring.lines.map((line) => line.text ?? line.skipped);

test("a log takes each line once, in whichever way it comes", () => {
  const ring = new Ring();
  assert.ok(ring.add(0, ["a", "b"]));
  assert.ok(ring.add(1, ["b", "c"]), "a tail that overlaps");
  assert.ok(!ring.add(0, ["a", "b", "c"]), "nothing new");
  assert.ok(!ring.add(3, []));
  assert.deepEqual(texts(ring), ["a", "b", "c"]);
  assert.equal(ring.end, 3);
});

test("a log says what it missed", () => {
  const ring = new Ring();
  ring.add(0, ["\x1b[31ma"]);
  ring.add(5, ["f"]);
  assert.deepEqual(texts(ring), ["a", 4, "f"]);
  assert.deepEqual(ring.lines[2].pieces, [{ text: "f", style: {} }], "a colour does not reach over a gap");
});

test("a log keeps the last lines", () => {
  const ring = new Ring();
  for (let at = 0; at < 3000; at += 300)
    ring.add(
      at,
      Array.from({ length: 300 }, (_, index) => `${at + index}`),
    );
  assert.equal(ring.lines.length, MOST);
  assert.equal(ring.lines[0].text, "2000");
  assert.deepEqual(
    ring.lines.map((line) => line.number),
    Array.from({ length: MOST }, (_, index) => 2000 + index),
  );
});

test("a log that is drawn late says what is not kept any more", () => {
  const ring = new Ring();
  ring.add(0, ["a", "b", "c"]);
  assert.deepEqual(
    ring.between(1, 3).map((line) => line.text),
    ["b", "c"],
  );
  ring.add(
    3,
    Array.from({ length: MOST }, (_, index) => `${index}`),
  );
  assert.equal(ring.begin, 3);
  assert.deepEqual(ring.between(2, 4), [{ number: 2, skipped: 1 }, ring.lines[0]]);
  assert.deepEqual(ring.between(0, 4), [ring.lines[0]], "a log's beginning is no gap");
  ring.add(MOST + 5, ["after a gap"]);
  assert.deepEqual(ring.between(MOST + 3, MOST + 6), ring.lines.slice(-2), "which is said once");
  assert.deepEqual(ring.between(2, 3), []);
});

test("what is found in a line", () => {
  assert.deepEqual(matches("aXbxa", "x"), [
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(matches("aaa", "aa"), [[0, 2]]);
  assert.deepEqual(matches("abc", ""), []);
  assert.deepEqual(matches("a.c", "."), [[1, 2]], "no pattern");
});

test("what shares a word is lit", () => {
  assert.deepEqual(words(" a  b "), ["a", "b"]);
  assert.deepEqual(words(undefined), []);
  assert.deepEqual(shared("a c", ["a", "b", "b c", "", "ab"]), [true, false, true, false, false]);
  assert.deepEqual(shared(null, ["a", ""]), [false, false]);
});

test("a filter's kinds", () => {
  const of = (boxes, buttons) => {
    const lets = chosen(
      boxes.map(([kinds, on]) => ({ kinds, on })),
      buttons.map(([kinds, on]) => ({ kinds, on })),
    );
    return ["x", "y", "z"].filter((kind) => lets([kind])).join("");
  };
  assert.equal(of([], []), "xyz");
  assert.equal(
    of(
      [
        [["x"], false],
        [["y"], true],
      ],
      [],
    ),
    "yz",
  );
  assert.equal(
    of(
      [],
      [
        [["x"], false],
        [["y"], false],
      ],
    ),
    "xyz",
  );
  assert.equal(
    of(
      [],
      [
        [["x", "z"], true],
        [["y"], false],
      ],
    ),
    "xz",
  );
  assert.equal(of([[["x"], false]], [[["x", "z"], true]]), "z");
  assert.ok(!chosen([{ kinds: ["x"], on: false }], [])(["x", "y"]));
  assert.ok(chosen([], [])([]));
});

test("a filter shows what contains every word, and what holds it", () => {
  const items = [
    { text: "usr", kinds: [], parent: -1 },
    { text: "usr/bin", kinds: ["dir"], parent: 0 },
    { text: "usr/bin/Passwd", kinds: ["new"], parent: 1 },
    { text: "etc/passwd", kinds: [], parent: -1 },
    { text: undefined, kinds: ["new"], parent: -1 },
  ];
  const names = (typed, lets = () => true) =>
    shown(items, typed, lets)
      .map((seen, index) => (seen ? index : ""))
      .join("");
  assert.equal(names(""), "01234");
  assert.equal(names("PASSWD"), "0123");
  assert.equal(names("bin pass"), "012");
  assert.equal(names("none"), "");
  assert.equal(
    names("", (kinds) => kinds.includes("new")),
    "0124",
  );
});
