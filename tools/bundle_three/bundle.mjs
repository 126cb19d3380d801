// Bundles entry.js and the three.js it needs into src/monocap/view/three.min.js, with three's licence beside it.
//   npm ci && npm run bundle
import { copyFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../../src/monocap/view");
await build({
  absWorkingDir: here,
  entryPoints: ["entry.js"],
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "THREE",
  target: "es2022",
  legalComments: "inline",
  banner: { js: "/* three.js 0.187.0, MIT licence, see three.LICENSE; bundled by tools/bundle_three */" },
  outfile: join(target, "three.min.js"),
});
copyFileSync(join(here, "node_modules/three/LICENSE"), join(target, "three.LICENSE"));
console.log(`${statSync(join(target, "three.min.js")).size} bytes`);
