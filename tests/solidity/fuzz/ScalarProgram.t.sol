// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../../../contracts/interfaces/IJudge.sol";
import {NodeCodec} from "../../../contracts/libraries/NodeCodec.sol";
import {ScalarProgram} from "../../../contracts/libraries/ScalarProgram.sol";
import {Floats} from "../support/Floats.sol";
import {FoldInstruction} from "../support/FoldNode.sol";
import {PlainFold} from "../support/PlainFold.sol";
import {RandomNode} from "../support/RandomNode.sol";
import {Test} from "../support/Test.sol";

/// @title Bodies of folds, instruction by instruction, against 32-bit integers and exact floats
contract ScalarProgramTest is Test {
    uint256 private constant FIRST = 8; // values before the first instruction

    error Differs(uint256 instruction, uint8 op, uint256 a, uint256 b, uint256 c, uint256 got, uint256 twin);

    function testFuzz_run_anyProgram_everyValueIsTheTwins(uint256 seed) public view {
        FoldInstruction[] memory code = RandomNode.code(derive(seed, 0), 1 + derive(seed, 1) % 14, FIRST);
        _compare(code, _values(seed, code.length));
    }

    /// @notice Each opcode alone, on words that are worth trying.
    function testFuzz_run_eachOpcode_isTheTwins(uint256 seed) public view {
        for (uint256 i = 0; i < 36; ++i) {
            FoldInstruction[] memory code = new FoldInstruction[](1);
            uint256 s = derive(seed, i);
            code[0] = FoldInstruction(_opcode(i), uint8(s % FIRST), uint8((s >> 8) % FIRST), uint8((s >> 16) % FIRST));
            _compare(code, _values(s, 1));
        }
    }

    /// @notice A bad opcode or an argument not yet defined: both `check` and `run` refuse at that instruction.
    function testFuzz_checkAndRun_oneBadInstruction_refuseAtIt(uint256 seed) public {
        FoldInstruction[] memory code = RandomNode.code(derive(seed, 0), 1 + derive(seed, 1) % 10, FIRST);
        uint256 at_ = derive(seed, 2) % code.length;
        uint256 kind = derive(seed, 3) % 4;
        uint8 undefined = uint8(bound(derive(seed, 4), FIRST + at_, 255));
        if (kind == 0) code[at_].op = _unknown(derive(seed, 5));
        else if (kind == 1) code[at_].a = undefined;
        else if (kind == 2) code[at_].b = undefined;
        else code[at_].c = undefined;
        bytes memory encoded = _encode(code);
        uint256[] memory values = _values(seed, code.length);
        vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, 4 * at_));
        this.check(encoded);
        vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, 4 * at_));
        this.run(encoded, values);
    }

    /// @notice All 256 opcodes: 36 exist.
    function test_check_everyOpcode_knowsThoseOfTheTable() public {
        uint256 known;
        for (uint256 op = 0; op < 256; ++op) {
            bool exists = (op >= 0x01 && op <= 0x10) || (op >= 0x21 && op <= 0x34);
            bytes memory encoded = abi.encodePacked(uint8(op), uint8(0), uint8(0), uint8(0));
            if (!exists) vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, 0));
            this.check(encoded);
            if (exists) ++known;
        }
        vm.assertEq(known, 36);
    }

    /// @notice Fixed programs; every opcode is met, with results that are not all zero.
    function test_run_corpus_meetsEveryOpcode() public view {
        uint256[64] memory nonzero;
        for (uint256 i = 0; i < 40; ++i) {
            this.testFuzz_run_eachOpcode_isTheTwins(i);
            for (uint256 k = 0; k < 36; ++k) {
                uint256[] memory v = _values(derive(i, k), 1);
                if (PlainFold.execute(_opcode(k), uint32(v[0]), uint32(v[1]), uint32(v[2])) != 0) {
                    ++nonzero[_opcode(k)];
                }
            }
        }
        for (uint256 k = 0; k < 36; ++k) {
            vm.assertGe(nonzero[_opcode(k)], 3, string.concat("results of opcode ", vm.toString(_opcode(k))));
        }
    }

    // --- from outside: the library reads instructions from calldata -------------------------------------------------

    function check(bytes calldata code) external pure {
        ScalarProgram.check(_node(code));
    }

    function run(bytes calldata code, uint256[] memory values) external pure returns (uint256[] memory) {
        ScalarProgram.run(_node(code), values);
        return values;
    }

    /// @dev A node of which only the instructions lie in calldata: FIRST - 1 constants stand for all that is before.
    function _node(bytes calldata code) private pure returns (NodeCodec.Node memory node) {
        uint256 start;
        assembly ("memory-safe") {
            start := code.offset
        }
        node.start = start;
        node.instructionsAt = start;
        node.instructions = code.length / 4;
        node.constants = FIRST - 1;
    }

    function _compare(FoldInstruction[] memory code, uint256[] memory values) private view {
        uint256[] memory got = this.run(_encode(code), values);
        for (uint256 i = 0; i < code.length; ++i) {
            (uint256 a, uint256 b, uint256 c) = (values[code[i].a], values[code[i].b], values[code[i].c]);
            uint256 twin = PlainFold.execute(code[i].op, uint32(a), uint32(b), uint32(c));
            values[FIRST + i] = twin;
            if (got[FIRST + i] != twin) revert Differs(i, code[i].op, a, b, c, got[FIRST + i], twin);
        }
    }

    function _encode(FoldInstruction[] memory code) private pure returns (bytes memory out) {
        for (uint256 i = 0; i < code.length; ++i) {
            out = abi.encodePacked(out, code[i].op, code[i].a, code[i].b, code[i].c);
        }
    }

    /// @dev Floats, small integers and the ends of the integers, then room for the instructions' values.
    function _values(uint256 seed, uint256 room) private pure returns (uint256[] memory values) {
        values = new uint256[](FIRST + room);
        uint32[6] memory ends = [0, 1, 0xffffffff, 0x80000000, 0x7fffffff, 31];
        for (uint256 i = 0; i < FIRST; ++i) {
            uint256 s = derive(seed, 50 + i);
            if (s % 4 == 0) values[i] = ends[(s >> 8) % 6];
            else if (s % 4 == 1) values[i] = uint32((s >> 8) >> ((s >> 200) % 32));
            else values[i] = Floats.any(s >> 8);
        }
        if (derive(seed, 60) % 4 == 0) values[1] = values[0];
    }

    function _opcode(uint256 i) private pure returns (uint8) {
        return uint8(i < 16 ? 1 + i : 0x21 + i - 16);
    }

    function _unknown(uint256 seed) private pure returns (uint8) {
        uint256 i = seed % 220;
        return uint8(i == 0 ? 0 : i <= 16 ? 0x10 + i : 0x34 + i - 16);
    }
}
