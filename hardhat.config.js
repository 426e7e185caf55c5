// Hardhat 3: a local devnet and Solidity tests. The compiler is the one of node_modules, so nothing is
// downloaded; its settings equal those of protocol/chain/compiler.py, and a test compares them.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { defineConfig } from "hardhat/config";

const require = createRequire(import.meta.url);

const compiler = {
  version: require("solc/package.json").version,
  path: require.resolve("solc/soljson.js"),
};

// What tests deploy is compiled as for production, always. The test suites themselves, and the libraries that they
// hold, take the compiler's quick way, unless a library is too deep for it; `SOLIDITY_SUITES=production` compiles all
// of them as for production too.
const quick = { ...compiler, settings: { evmVersion: "prague", optimizer: { enabled: true, runs: 1 } } };
const deep = ["fuzz/FoldTerm.t.sol", "fuzz/NodeCaps.t.sol", "fuzz/NodeCodec.t.sol"];
const suites = readdirSync(new URL("tests/solidity", import.meta.url), { recursive: true })
  .filter((name) => name.endsWith(".sol") && !deep.includes(name))
  .map((name) => [`tests/solidity/${name}`, quick]);
const overrides = process.env.SOLIDITY_SUITES === "production" ? {} : Object.fromEntries(suites);

export default defineConfig({
  solidity: {
    // Contracts first, alone: tests deploy most of them from their artifacts, as a chain gets them, and so
    // need not compile them again.
    splitTestsCompilation: true,
    compilers: [
      {
        ...compiler,
        settings: {
          evmVersion: "prague",
          viaIR: true,
          optimizer: { enabled: true, runs: 1000 },
        },
      },
    ],
    overrides,
  },
  paths: {
    sources: "./contracts",
    tests: { solidity: "./tests/solidity" },
    cache: "./.cache/hardhat/cache",
    artifacts: "./.cache/hardhat/artifacts",
  },
  test: {
    solidity: {
      fsPermissions: { readDirectory: ["./.cache/hardhat/artifacts/contracts"] },
      // One seed for everybody, so that a failure is everybody's; `make solidity FUZZ_SEED=0x..` takes another.
      // No suite discards inputs (`vm.assume`).
      fuzz: {
        runs: Number(process.env.FUZZ_RUNS ?? 256),
        ...(process.env.FUZZ_SEED ? { seed: process.env.FUZZ_SEED } : {}),
      },
      invariant: {
        runs: Number(process.env.INVARIANT_RUNS ?? 16),
        depth: Number(process.env.INVARIANT_DEPTH ?? 100),
      },
    },
  },
  networks: {
    default: { type: "edr-simulated", chainType: "l1", hardfork: "prague" },
    // The node of `npx hardhat node`.
    localhost: { type: "http", chainType: "l1", url: "http://127.0.0.1:8545" },
  },
});
