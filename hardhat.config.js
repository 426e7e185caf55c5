// Hardhat 3: a local devnet and Solidity tests. The compiler is the one of node_modules, so nothing is
// downloaded; its settings equal those of protocol/chain/compiler.py, and a test compares them.
import { createRequire } from "node:module";
import { defineConfig } from "hardhat/config";

const require = createRequire(import.meta.url);

export default defineConfig({
  solidity: {
    compilers: [
      {
        version: require("solc/package.json").version,
        path: require.resolve("solc/soljson.js"),
        settings: {
          evmVersion: "prague",
          viaIR: true,
          optimizer: { enabled: true, runs: 1000 },
        },
      },
    ],
  },
  paths: {
    sources: "./contracts",
    tests: { solidity: "./tests/solidity" },
    cache: "./.cache/hardhat/cache",
    artifacts: "./.cache/hardhat/artifacts",
  },
  networks: {
    default: { type: "edr-simulated", chainType: "l1", hardfork: "prague" },
    // The node of `npx hardhat node`.
    localhost: { type: "http", chainType: "l1", url: "http://127.0.0.1:8545" },
  },
});
