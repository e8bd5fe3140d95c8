// Builds the dashboard into the Python package, and notes of which sources, so that a test can tell
// a build that is not theirs.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig } from "vite";

const OUT = "../page";

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((each) => {
    const path = join(folder, each.name);
    if (each.name === "node_modules" || each.name.startsWith(".")) return [];
    return each.isDirectory() ? sources(path) : [path];
  });
}

/** The hash that tests/dashboard reckons again: names and bytes of all sources, in order. */
function hashOf(root) {
  const hash = createHash("sha256");
  for (const path of sources(root).map((each) => relative(root, each)).sort()) {
    hash.update(`${path}\0`).update(readFileSync(join(root, path))).update("\0");
  }
  return hash.digest("hex");
}

export default defineConfig({
  base: "./",
  build: {
    outDir: OUT,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  plugins: [
    {
      name: "source-hash",
      closeBundle() {
        const told = { sources: hashOf(import.meta.dirname) };
        writeFileSync(join(import.meta.dirname, OUT, "source.json"), `${JSON.stringify(told)}\n`);
      },
    },
  ],
});
