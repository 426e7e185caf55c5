// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "./Vm.sol";

/// @title The base of all test suites
abstract contract Test {
    /// @dev keccak256("hevm cheat code"), as the runner has it.
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice `x` if it lies in min..max, else a number in min..max that depends on `x` and hits the ends often.
    function bound(uint256 x, uint256 min, uint256 max) internal pure returns (uint256) {
        require(min <= max, "bound: empty range");
        if (x >= min && x <= max) return x;
        uint256 size = max - min;
        if (size == type(uint256).max) return x;
        // The fuzzer likes the smallest and largest words: they become the ends of the range.
        if (x <= 3 && size >= x) return min + x;
        if (type(uint256).max - x <= 3 && size >= type(uint256).max - x) return max - (type(uint256).max - x);
        return min + x % (size + 1);
    }

    /// @notice A fresh number for each `index` of a seed.
    function derive(uint256 seed, uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, index)));
    }

    /// @notice An account that only `name` stands for.
    function makeAccount(string memory name) internal returns (address account) {
        account = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(account, name);
    }

    /// @notice Deploys a contract as `make hardhat` compiled it, without its code becoming part of the test's.
    /// @param path Its file under contracts/, such as "market/Vault.sol".
    /// @param name The contract in it.
    /// @param args abi.encode of its constructor's arguments.
    function deployArtifact(string memory path, string memory name, bytes memory args)
        internal
        returns (address deployed)
    {
        string memory file =
            string.concat(vm.projectRoot(), "/.cache/hardhat/artifacts/contracts/", path, "/", name, ".json");
        bytes memory code = bytes.concat(vm.parseJsonBytes(vm.readFile(file), ".bytecode"), args);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
            if iszero(deployed) {
                // The constructor's own error.
                let free := mload(0x40)
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }

    /// @notice The current time, safe from the optimizer after a `warp`.
    function now_() internal view returns (uint64) {
        return uint64(vm.getBlockTimestamp());
    }
}
