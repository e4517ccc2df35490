/**
 * `npm run build`: what is committed and travels in the wheel, from src/.
 *
 * - src/ → built/, with JupyterLab's own builder: the extension that colours cells
 * - src/view/ → ../dockerlab/notebook/static/view.js, with esbuild: what every live view runs
 *
 * Both bear a digest of the sources, for a test that has no node.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const sources = readdirSync("src", { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`);
const digest = createHash("sha256");
for (const file of ["package-lock.json", "package.json", ...sources].sort()) digest.update(readFileSync(file));
const mark = digest.digest("hex");

const builder = "node_modules/@jupyter/builder/lib/build-labextension.js";
const core = "node_modules/@jupyterlab/core-meta/core.package.json";
execFileSync(process.execPath, [builder, "--core-package-file", core, "."], { stdio: "inherit" });
writeFileSync("built/sources.sha256", `${mark}\n`);

await build({
  entryPoints: ["src/view/index.js"],
  outfile: "../dockerlab/notebook/static/view.js",
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  loader: { ".css": "text" },
  plugins: [{ name: "css", setup: minifyStyles }],
  banner: {
    js: `// Built from labextension/src/view/ ${mark}; with morphdom (MIT, Copyright (c) Patrick Steele-Idem).`,
  },
});

/** A style sheet as a text, without its white space. */
function minifyStyles(bundle) {
  bundle.onLoad({ filter: /\.css$/ }, async ({ path }) => {
    const { outputFiles } = await build({ entryPoints: [path], minify: true, write: false });
    return { contents: outputFiles[0].text.trim(), loader: "text" };
  });
}
