/** `npm run build`: src/ → built/, with JupyterLab's own builder; beside it a digest of the sources, for a test that has no node. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const builder = "node_modules/@jupyter/builder/lib/build-labextension.js";
const core = "node_modules/@jupyterlab/core-meta/core.package.json";
execFileSync(process.execPath, [builder, "--core-package-file", core, "."], { stdio: "inherit" });

const digest = createHash("sha256");
for (const file of ["package-lock.json", "package.json", ...readdirSync("src").map((name) => `src/${name}`)].sort()) {
  digest.update(readFileSync(file));
}
writeFileSync("built/sources.sha256", `${digest.digest("hex")}\n`);
