/** What each piece of a cell is taken for. CodeMirror's own stream feeds the parser. */
import assert from "node:assert/strict";
import test from "node:test";
import { StringStream } from "@codemirror/language";
import { MAGIC, dockerfile } from "../src/mode.js";

/** The tokens that have a name, as `name:text`, line by line. */
function tokens(source) {
  let state = dockerfile.startState();
  return source.split("\n").map((line) => {
    state = dockerfile.copyState(state);
    if (!line) dockerfile.blankLine(state);
    const stream = new StringStream(line, 4, 2);
    const found = [];
    while (!stream.eol()) {
      const name = dockerfile.token(stream, state);
      assert.ok(stream.pos > stream.start, `no step at ${stream.pos} of ${line}`);
      if (name) found.push(`${name}:${stream.current()}`);
      stream.start = stream.pos;
    }
    return found;
  });
}

/** Of a Dockerfile alone. */
const of = (source) => tokens(`%%dockerfile\n${source}`).slice(1);

test("a cell that is one", () => {
  for (const source of ["%%dockerfile", "%%dockerfile -t x\nFROM y", "\n \n%%dockerfile\n"])
    assert.match(source, MAGIC);
  for (const source of ["", "%dockerfile", "x\n%%dockerfile", " %%dockerfile", "%%dockerfiles", "# %%dockerfile"])
    assert.doesNotMatch(source, MAGIC);
});

test("the magic's line is the magic, flags and plain words", () => {
  const [first, second] = tokens(`%%dockerfile -t app --build-arg "A=-b c" --no-cache\nFROM x`);
  assert.deepEqual(first, [
    "meta:%%dockerfile",
    "attributeName:-t",
    "attributeName:--build-arg",
    "attributeName:--no-cache",
  ]);
  assert.deepEqual(second, ["keyword:FROM"]);
  assert.deepEqual(tokens("\n%%dockerfile\nfrom x"), [[], ["meta:%%dockerfile"], ["keyword:from"]]);
  assert.deepEqual(tokens("%%dockerfile  \n\n# escape=`\nfrom x"), [
    ["meta:%%dockerfile"],
    [],
    ["comment:# escape=`"],
    ["keyword:from"],
  ]);
});

for (const [what, source, expected] of [
  [
    "stages",
    "FROM --platform=$P x:1 AS as",
    [["keyword:FROM", "attributeName:--platform", "variableName.special:$P", "keyword:AS"]],
  ],
  ["a name that starts with as", "FROM assets\nFROM x as asset", [["keyword:FROM"], ["keyword:FROM", "keyword:as"]]],
  ["ports", "EXPOSE 5000/tcp ${P:-80}", [["keyword:EXPOSE", "number:5000", "variableName.special:${P:-80}"]]],
  ["strings", `CMD ["a", "b\\"c"] 'd'`, [["keyword:CMD", `string:"a"`, `string:"b\\"c"`, "string:'d'"]]],
  ["a word that is no instruction", "FORM x", [["invalid:FORM"]]],
  [
    "two instructions",
    "ONBUILD RUN x\nHEALTHCHECK --interval=5s CMD y",
    [
      ["keyword:ONBUILD", "keyword:RUN"],
      ["keyword:HEALTHCHECK", "attributeName:--interval", "keyword:CMD"],
    ],
  ],
  ["comments", "# one\n  # two\nRUN x # not one", [["comment:# one"], ["comment:  # two"], ["keyword:RUN"]]],
  [
    "directives",
    "# syntax=docker/dockerfile:1\n# escape=`\nRUN a `\n  b\n# escape=x",
    [
      ["meta:# syntax=docker/dockerfile:1"],
      ["meta:# escape=`"],
      ["keyword:RUN", "operator:`"],
      [],
      ["comment:# escape=x"],
    ],
  ],
  [
    "no directive after a comment",
    "# one\n# escape=`\nRUN a `\nRUN b",
    [["comment:# one"], ["comment:# escape=`"], ["keyword:RUN"], ["keyword:RUN"]],
  ],
  [
    "an instruction of several lines",
    "RUN a && \\\n  # why\n\n  from x \\ \n  && run\nCOPY . .",
    [["keyword:RUN", "operator:\\"], ["comment:  # why"], [], ["operator:\\ "], [], ["keyword:COPY"]],
  ],
  [
    "flags, and the command's own",
    "RUN --mount=type=cache,target=/x --network=none pip install --no-cache",
    [["keyword:RUN", "attributeName:--mount", "attributeName:--network"]],
  ],
  [
    "a heredoc",
    "RUN <<EOF cat\nFROM x\n# y\nEOF\nUSER a",
    [["keyword:RUN", "labelName:<<EOF"], [], [], ["labelName:EOF"], ["keyword:USER"]],
  ],
  [
    "two heredocs",
    `COPY <<-"A" <<B /x/\n$a\n\tA\nb\n B\nB\nRUN y`,
    [
      ["keyword:COPY", `labelName:<<-"A"`, "labelName:<<B"],
      ["string:$a"],
      ["labelName:\tA"],
      ["string:b"],
      ["string: B"],
      ["labelName:B"],
      ["keyword:RUN"],
    ],
  ],
  ["no heredoc", "ENV A=1<<2\nRUN x", [["keyword:ENV"], ["keyword:RUN"]]],
  [
    "what is not closed",
    `RUN echo "a \\\n  b"\nRUN '\nRUN \${x`,
    [
      ["keyword:RUN", `string:"a `, "operator:\\"],
      [`string:"`],
      ["keyword:RUN", "string:'"],
      ["keyword:RUN", "variableName.special:${x"],
    ],
  ],
])
  test(what, () => assert.deepEqual(of(source), expected));
