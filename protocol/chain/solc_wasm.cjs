// npm's WebAssembly solc behind the command line of the native one, as far as py-solc-x uses it:
//   node solc_wasm.cjs <folder of the npm package> --version | --standard-json
const [folder, mode] = process.argv.slice(2);
const solc = require(folder);
if (mode === "--version") {
  console.log(`Version: ${solc.version()}`);
} else if (mode === "--standard-json") {
  process.stdout.write(solc.compile(require("node:fs").readFileSync(0, "utf8")));
} else {
  console.error(`unknown mode ${mode}: expected --version or --standard-json`);
  process.exitCode = 2;
}
