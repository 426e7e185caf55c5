// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Float32} from "../libraries/Float32.sol";

/// @title Batches of float operations, for tests and gas figures only.
/// @dev A case is three words of four bytes, big-endian; an operation uses the first one or two if it needs no more.
contract Float32Harness {
    uint256 private constant CASE_BYTES = 12;

    error UnknownOperation(uint256 operation);
    error RaggedCases(uint256 length);

    /// @return The names of the operations, in their order
    function operations() external pure returns (string memory) {
        return "add sub mul div sqrt fma neg abs min max flt fle feq f2i i2f b2f";
    }

    /// @return results One word of four bytes per case
    function run(uint256 operation, bytes calldata cases) external pure returns (bytes memory results) {
        uint256 n = _count(cases);
        results = new bytes(n * 4);
        for (uint256 i; i < n; ++i) {
            (uint256 a, uint256 b, uint256 c) = _words(cases, i);
            uint256 word = _apply(operation, a, b, c);
            for (uint256 j; j < 4; ++j) {
                results[4 * i + j] = bytes1(uint8(word >> (24 - 8 * j)));
            }
        }
    }

    /// @return gas_ Gas of each case, the dispatch on the operation taken off
    function measure(uint256 operation, bytes calldata cases) external view returns (uint256[] memory gas_) {
        uint256 n = _count(cases);
        gas_ = new uint256[](n);
        for (uint256 i; i < n; ++i) {
            (uint256 a, uint256 b, uint256 c) = _words(cases, i);
            gas_[i] = _gasOf(operation, a, b, c);
        }
    }

    function _count(bytes calldata cases) private pure returns (uint256) {
        if (cases.length % CASE_BYTES != 0) revert RaggedCases(cases.length);
        return cases.length / CASE_BYTES;
    }

    function _words(bytes calldata cases, uint256 i) private pure returns (uint256 a, uint256 b, uint256 c) {
        bytes calldata case_ = cases[i * CASE_BYTES:(i + 1) * CASE_BYTES];
        return (uint32(bytes4(case_[0:4])), uint32(bytes4(case_[4:8])), uint32(bytes4(case_[8:12])));
    }

    function _apply(uint256 operation, uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        if (operation == 0) return Float32.add(a, b);
        if (operation == 1) return Float32.sub(a, b);
        if (operation == 2) return Float32.mul(a, b);
        if (operation == 3) return Float32.div(a, b);
        if (operation == 4) return Float32.sqrt(a);
        if (operation == 5) return Float32.fma(a, b, c);
        if (operation == 6) return Float32.neg(a);
        if (operation == 7) return Float32.abs(a);
        if (operation == 8) return Float32.min(a, b);
        if (operation == 9) return Float32.max(a, b);
        if (operation == 10) return Float32.lt(a, b) ? 1 : 0;
        if (operation == 11) return Float32.le(a, b) ? 1 : 0;
        if (operation == 12) return Float32.eq(a, b) ? 1 : 0;
        if (operation == 13) return Float32.toInt(a);
        if (operation == 14) return Float32.fromInt(a);
        if (operation == 15) return Float32.canonical(a);
        revert UnknownOperation(operation);
    }

    /// @dev One branch per operation, so that what the dispatch costs is outside the two readings.
    function _gasOf(uint256 operation, uint256 a, uint256 b, uint256 c) private view returns (uint256 used) {
        uint256 word;
        if (operation == 0) (used, word) = (gasleft(), Float32.add(a, b));
        else if (operation == 1) (used, word) = (gasleft(), Float32.sub(a, b));
        else if (operation == 2) (used, word) = (gasleft(), Float32.mul(a, b));
        else if (operation == 3) (used, word) = (gasleft(), Float32.div(a, b));
        else if (operation == 4) (used, word) = (gasleft(), Float32.sqrt(a));
        else if (operation == 5) (used, word) = (gasleft(), Float32.fma(a, b, c));
        else if (operation == 6) (used, word) = (gasleft(), Float32.neg(a));
        else if (operation == 7) (used, word) = (gasleft(), Float32.abs(a));
        else if (operation == 8) (used, word) = (gasleft(), Float32.min(a, b));
        else if (operation == 9) (used, word) = (gasleft(), Float32.max(a, b));
        else if (operation == 10) (used, word) = (gasleft(), Float32.lt(a, b) ? 1 : 0);
        else if (operation == 11) (used, word) = (gasleft(), Float32.le(a, b) ? 1 : 0);
        else if (operation == 12) (used, word) = (gasleft(), Float32.eq(a, b) ? 1 : 0);
        else if (operation == 13) (used, word) = (gasleft(), Float32.toInt(a));
        else if (operation == 14) (used, word) = (gasleft(), Float32.fromInt(a));
        else if (operation == 15) (used, word) = (gasleft(), Float32.canonical(a));
        else revert UnknownOperation(operation);
        used -= gasleft();
        // Keeps the result alive, so that the optimiser cannot drop the operation.
        if (word > type(uint32).max) revert UnknownOperation(word);
    }
}
