// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../../../contracts/interfaces/IJudge.sol";
import {NodeCodec} from "../../../contracts/libraries/NodeCodec.sol";
import {
    FoldAxis,
    FoldAxisTerm,
    FoldConstant,
    FoldGuard,
    FoldInstruction,
    FoldLoad,
    FoldNode,
    FoldNodes,
    FoldOperand
} from "../support/FoldNode.sol";
import {PlainCodec} from "../support/PlainCodec.sol";
import {Test} from "../support/Test.sol";

/// @title The largest node of every kind is a node, one more is not
/// @dev Random nodes are small; what stands here is what the fuzz of NodeCodec hardly meets.
contract NodeCapsTest is Test {
    using FoldNodes for FoldNode;

    function test_decode_ranks_upToEight() public {
        FoldNode memory n = _node();
        (n.shape, n.operands[0].shape) = (_ones(8), _ones(8));
        n.domain = _ones(8);
        _accepted(n);
        n.shape = _ones(9);
        _refused(n, 2);
        (n.shape, n.domain) = (_ones(1), _ones(9));
        _refused(n, 7);
        (n.domain, n.operands[0].shape) = (_ones(0), _ones(9));
        _refused(n, 7 + 1 + 4 + 1 + 6);
    }

    function test_decode_dimensions_upToTheLargestTensor() public {
        FoldNode memory n = _node();
        n.shape[0] = 2 ** 31 - 1;
        _accepted(n);
        n.shape[0] = 2 ** 31;
        _refused(n, 2);
        n.shape = _ones(2);
        (n.shape[0], n.shape[1]) = (2 ** 16, 2 ** 15);
        _refused(n, 2);
        n.shape[1] = 2 ** 15 - 1;
        _accepted(n);
        n.shape[1] = 0;
        _refused(n, 2);
    }

    function test_decode_operandsAndLoads_upToSixteen() public {
        FoldNode memory n = _node();
        n.operands = _operands(16);
        n.loads = _loads(16, 0, 0);
        n.result = 0;
        _accepted(n);
        n.loads = _loads(17, 0, 0);
        _refused(n, 12 + 1 + 16 * 7);
        n.operands = _operands(17);
        _refused(n, 12);
    }

    function test_decode_axesAndTerms_upToEightAndSixteen() public {
        FoldNode memory n = _node();
        n.loads = _loads(1, 8, 16);
        _accepted(n);
        n.loads = _loads(1, 9, 0);
        _refused(n, 21);
        n.loads = _loads(1, 1, 17);
        _refused(n, 21 + 15);
    }

    function test_decode_sizesAndDivisors_from1To2To31() public {
        FoldNode memory n = _node();
        n.loads = _loads(1, 1, 0);
        FoldAxis memory axis = n.loads[0].axes[0];
        uint32[4] memory values = [0, 1, 2 ** 31 - 1, 2 ** 31];
        for (uint256 i = 0; i < 4; ++i) {
            bool inside = i == 1 || i == 2;
            (axis.size, axis.divisor) = (values[i], 1);
            inside ? _accepted(n) : _refused(n, 21 + 15);
            (axis.size, axis.divisor) = (1, values[i]);
            inside ? _accepted(n) : _refused(n, 21 + 15);
        }
    }

    /// @notice The highest address that an axis allows must lie in the operand: at its last element, not behind it.
    function test_decode_addresses_upToTheLastElement() public {
        FoldNode memory n = _node();
        n.operands[0].shape = _ones(1);
        n.operands[0].shape[0] = 100;
        n.loads = _loads(1, 1, 0);
        FoldAxis memory axis = n.loads[0].axes[0];
        (axis.size, axis.stride, n.loads[0].offset) = (10, 11, 0);
        _accepted(n);
        n.loads[0].offset = 1;
        _refused(n, 21 + 4);
        (axis.size, axis.stride) = (2, type(uint64).max);
        _refused(n, 21 + 4);
        (axis.size, n.loads[0].offset) = (1, 99);
        _accepted(n);
        n.loads[0].offset = type(uint64).max;
        _refused(n, 21 + 4);
    }

    function test_decode_guardsConstantsInstructions_upToTheirCaps() public {
        FoldNode memory n = _node();
        n.loads = _loads(1, 0, 0);
        (n.guards, n.constants, n.code) = (new FoldGuard[](4), new FoldConstant[](64), _code(128));
        n.result = uint8(1 + 1 + 64 + 1 + 127);
        _accepted(n);
        ++n.result;
        _refused(n, n.encode().length - 1);
        --n.result;
        n.code = _code(129);
        _refused(n, 36 + 1 + 8 + 1 + 5 * 64);
        (n.code, n.constants) = (_code(0), new FoldConstant[](65));
        _refused(n, 36 + 1 + 8);
        (n.constants, n.guards) = (new FoldConstant[](0), new FoldGuard[](5));
        _refused(n, 36);
    }

    function test_decode_bytes_upTo4096() public {
        FoldNode memory n = _node();
        FoldLoad[] memory full = _loads(5, 8, 16);
        full[4].axes = _loads(1, 6, 16)[0].axes;
        n.loads = full;
        (n.guards, n.code) = (new FoldGuard[](1), _code(1));
        vm.assertEq(n.encode().length, 4096);
        _accepted(n);
        (n.guards, n.code) = (new FoldGuard[](0), _code(0));
        n.operands = _operands(2);
        n.result = 0;
        vm.assertEq(n.encode().length, 4097);
        _refused(n, 4097);
    }

    function decode(bytes calldata data) external pure {
        NodeCodec.decode(data);
    }

    function _accepted(FoldNode memory n) private view {
        bytes memory data = n.encode();
        (bool decodes,) = PlainCodec.isNode(data);
        vm.assertTrue(decodes, "the plain reader takes it");
        this.decode(data);
    }

    function _refused(FoldNode memory n, uint256 offset) private {
        bytes memory data = n.encode();
        (bool decodes,) = PlainCodec.isNode(data);
        vm.assertFalse(decodes, "the plain reader takes it");
        vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, offset));
        this.decode(data);
    }

    /// @dev Shape (1), no domain, one operand that is a scalar, nothing else: 12 bytes before the operands, 20 before
    /// the loads.
    function _node() private pure returns (FoldNode memory n) {
        n.dtype = 2;
        n.shape = _ones(1);
        n.operands = _operands(1);
    }

    function _ones(uint256 rank) private pure returns (uint32[] memory shape) {
        shape = new uint32[](rank);
        for (uint256 i = 0; i < rank; ++i) {
            shape[i] = 1;
        }
    }

    function _operands(uint256 count) private pure returns (FoldOperand[] memory list) {
        list = new FoldOperand[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = FoldOperand(0, 0, 2, _ones(0));
        }
    }

    function _loads(uint256 count, uint256 axes, uint256 terms) private pure returns (FoldLoad[] memory list) {
        list = new FoldLoad[](count);
        for (uint256 k = 0; k < count; ++k) {
            list[k].axes = new FoldAxis[](axes);
            for (uint256 i = 0; i < axes; ++i) {
                list[k].axes[i] = FoldAxis(1, 0, 1, 0, new FoldAxisTerm[](terms));
            }
        }
    }

    function _code(uint256 count) private pure returns (FoldInstruction[] memory list) {
        list = new FoldInstruction[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = FoldInstruction(0x21, 0, 0, 0);
        }
    }
}
