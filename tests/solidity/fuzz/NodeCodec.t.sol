// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../../../contracts/interfaces/IJudge.sol";
import {NodeCodec} from "../../../contracts/libraries/NodeCodec.sol";
import {ScalarProgram} from "../../../contracts/libraries/ScalarProgram.sol";
import {FoldLoad, FoldNode, FoldNodes, FoldOperand} from "../support/FoldNode.sol";
import {PlainCodec} from "../support/PlainCodec.sol";
import {RandomNode} from "../support/RandomNode.sol";
import {Test} from "../support/Test.sol";

/// @title The decoder against nodes that were built, and against a plain reader on bytes that were damaged
contract NodeCodecTest is Test {
    using FoldNodes for FoldNode;

    error Disagreement(bytes data, bool plain, bool library_);

    // --- nodes in order ---------------------------------------------------------------------------------------

    function testFuzz_decode_anyNode_findsEverySection(uint256 seed) public view {
        FoldNode memory n = RandomNode.any(seed);
        bytes memory data = n.encode();
        (NodeCodec.Node memory d, uint256 coordinate, uint256 instruction) = this.decode(data, data.length);
        vm.assertEq(d.dtype, n.dtype, "dtype");
        vm.assertEq(d.rank, n.shape.length, "rank");
        vm.assertEq(d.numel, FoldNodes.numel(n.shape), "numel");
        vm.assertEq(d.domainRank, n.domain.length, "domain");
        vm.assertEq(d.terms, FoldNodes.numel(n.domain), "terms");
        vm.assertEq(d.init, n.init, "init");
        vm.assertEq(d.guards, n.guards.length, "guards");
        vm.assertEq(d.constants, n.constants.length, "constants");
        vm.assertEq(d.instructions, n.code.length, "instructions");
        vm.assertEq(d.result, n.result, "result");
        vm.assertEq(d.loadsAt.length, n.loads.length, "loads");
        vm.assertEq(d.operands.length, n.operands.length, "operands");
        vm.assertEq(coordinate, n.firstCoordinate(), "first coordinate");
        vm.assertEq(instruction, n.firstInstruction(), "first instruction");
        for (uint256 i = 0; i < n.operands.length; ++i) {
            FoldOperand memory o = n.operands[i];
            vm.assertEq(d.operands[i].kind, o.kind, "kind");
            vm.assertEq(d.operands[i].index, o.index, "index");
            vm.assertEq(d.operands[i].dtype, o.dtype, "operand's dtype");
            vm.assertEq(d.operands[i].numel, FoldNodes.numel(o.shape), "operand's numel");
        }
        _checkPositions(n, d, data.length);
    }

    /// @dev Counted from the end backwards and from the start forwards, so that every section is where it must be.
    function _checkPositions(FoldNode memory n, NodeCodec.Node memory d, uint256 length) private pure {
        uint256 at_ = length - 1 - 4 * n.code.length;
        vm.assertEq(d.instructionsAt - d.start, at_, "instructions");
        at_ -= 1 + 5 * n.constants.length;
        vm.assertEq(d.constantsAt - d.start, at_, "constants");
        at_ -= 1 + 2 * n.guards.length;
        vm.assertEq(d.guardsAt - d.start, at_, "guards");
        vm.assertEq(d.shapeAt - d.start, 3, "shape");
        vm.assertEq(d.domainAt - d.start, 4 + 4 * n.shape.length, "domain");
        uint256 next = at_ - 1;
        for (uint256 k = n.loads.length; k > 0; --k) {
            next -= _lengthOf(n.loads[k - 1]);
            vm.assertEq(d.loadsAt[k - 1] - d.start, next, "load");
        }
    }

    function _lengthOf(FoldLoad memory l) private pure returns (uint256 length) {
        length = 15;
        for (uint256 i = 0; i < l.axes.length; ++i) {
            length += 25 + 5 * l.axes[i].terms.length;
        }
    }

    // --- damage -----------------------------------------------------------------------------------------------

    function testFuzz_decode_damagedNode_refusesWhereThePlainReaderDoes(uint256 seed) public view {
        checkDamaged(seed);
    }

    /// @notice Every truncation is refused although the missing bytes do lie behind; so is every extension.
    function testFuzz_decode_otherLength_isRefused(uint256 seed) public {
        bytes memory data = RandomNode.any(seed).encode();
        uint256 shorter = derive(seed, 1) % data.length;
        vm.expectPartialRevert(IJudge.MalformedNode.selector);
        this.decode(data, shorter);
        uint256 more = 1 + derive(seed, 2) % 64;
        bytes memory longer = bytes.concat(data, new bytes(more));
        vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, longer.length));
        this.decode(longer, longer.length);
    }

    function testFuzz_decode_anyBytes_areRefusedLikeByThePlainReader(bytes memory data) public view {
        checkAgreement(data);
        if (data.length > 1) (data[0], data[1]) = (0x01, bytes1(uint8(1 + uint8(data[1]) % 3)));
        checkAgreement(data);
    }

    function testFuzz_decodeBinding_anyBinding_isReadOrRefusedLikeByThePlainReader(uint256 seed) public {
        _checkBinding(seed);
    }

    /// @dev Returns whether it is a binding.
    function _checkBinding(uint256 seed) private returns (bool) {
        uint256 rank = derive(seed, 0) % 10;
        bytes memory data = abi.encodePacked(
            uint8(derive(seed, 1) % 8 == 0 ? derive(seed, 2) % 5 : 2),
            uint8(derive(seed, 3) % 3),
            uint32(derive(seed, 4)),
            uint8(derive(seed, 5) % 5),
            uint8(rank)
        );
        uint256 numel = 1;
        for (uint256 i = 0; i < rank; ++i) {
            uint256 s = derive(seed, 20 + i);
            uint32 size = uint32(s % 8 == 0 ? s >> 8 : (s >> 8) % 16);
            data = abi.encodePacked(data, size);
            numel *= size;
        }
        if (derive(seed, 6) % 8 == 0) data = abi.encodePacked(data, uint8(0));
        if (!PlainCodec.isBinding(data)) {
            vm.expectPartialRevert(IJudge.MalformedBinding.selector);
            this.decodeBinding(data);
            return false;
        }
        (uint256 kind, uint256 index, uint256 dtype, uint256 got) = this.decodeBinding(data);
        vm.assertEq(kind, uint8(data[1]), "kind");
        vm.assertEq(index, uint32(derive(seed, 4)), "index");
        vm.assertEq(dtype, uint8(data[6]), "dtype");
        vm.assertEq(got, numel, "numel");
        return true;
    }

    /// @notice Fixed damage; accepted and refused ones are both met often, and refusals for many reasons.
    function test_damage_corpus_meetsAcceptanceAndManyRefusals() public view {
        uint256 accepted;
        uint256 undecodable;
        uint256 unrunnable;
        for (uint256 i = 0; i < 300; ++i) {
            (bool decodes, bool runs) = this.checkDamaged(i);
            if (runs) ++accepted;
            else if (decodes) ++unrunnable;
            else ++undecodable;
        }
        vm.assertGe(accepted, 50, "damaged, but nodes");
        vm.assertGe(undecodable, 50, "refused by the decoder");
        vm.assertGe(unrunnable, 10, "refused for an instruction");
    }

    function test_bindings_corpus_meetsAcceptanceAndRefusal() public {
        uint256 accepted;
        for (uint256 i = 0; i < 300; ++i) {
            if (_checkBinding(i)) ++accepted;
        }
        vm.assertGe(accepted, 20, "bindings");
        vm.assertGe(300 - accepted, 100, "refused");
    }

    /// @notice One fault each; the offset in the error is that of the field at fault.
    function test_decode_oneFault_namesItsOffset() public {
        bytes memory data = _smallNode().encode();
        uint16[2][14] memory faults = [
            // byte, offset of the refusal
            [uint16(0), 0], // tag
            [uint16(1), 0], // dtype
            [uint16(2), 2], // rank of the shape
            [uint16(3), 2], // a dimension
            [uint16(7), 7], // rank of the domain
            [uint16(16), 16], // count of operands
            [uint16(17), 17], // kind
            [uint16(22), 17], // operand's dtype
            [uint16(23), 23], // operand's rank
            [uint16(28), 28], // count of loads
            [uint16(29), 29], // slot
            [uint16(30), 29], // flags
            [uint16(43), 29], // count of axes
            [uint16(44), 44] // size of the axis
        ];
        this.decode(data, data.length);
        for (uint256 i = 0; i < faults.length; ++i) {
            bytes memory damaged = bytes.concat(data);
            damaged[faults[i][0]] = 0xff;
            vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, faults[i][1]));
            this.decode(damaged, damaged.length);
        }
    }

    function test_decode_longerThanTheCap_isRefusedWithItsLength() public {
        bytes memory data = new bytes(4097);
        vm.expectRevert(abi.encodeWithSelector(IJudge.MalformedNode.selector, 4097));
        this.decode(data, data.length);
    }

    // --- helpers ----------------------------------------------------------------------------------------------

    function checkDamaged(uint256 seed) public view returns (bool decodes, bool runs) {
        bytes memory data = RandomNode.any(derive(seed, 0)).encode();
        uint256 faults = 1 + derive(seed, 1) % 2;
        for (uint256 i = 0; i < faults; ++i) {
            uint256 s = derive(seed, 10 + i);
            uint256 place = (s >> 64) % data.length;
            uint8 old = uint8(data[place]);
            uint8[5] memory changes = [0, old ^ 1, uint8((uint256(old) + 1) % 256), 0xff, uint8(s >> 8)];
            data[place] = bytes1(changes[s % 5]);
        }
        return checkAgreement(data);
    }

    /// @notice Library and plain reader say the same of these bytes.
    function checkAgreement(bytes memory data) public view returns (bool decodes, bool runs) {
        (decodes, runs) = PlainCodec.isNode(data);
        bool got = true;
        try this.decode(data, data.length) {}
        catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(IJudge.MalformedNode.selector), "another refusal");
            got = false;
        }
        if (got != decodes) revert Disagreement(data, decodes, got);
        if (!decodes) return (decodes, runs);
        try this.check(data) {}
        catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(IJudge.MalformedNode.selector), "another refusal");
            got = false;
        }
        if (got != runs) revert Disagreement(data, runs, got);
    }

    /// @notice The first `length` of the bytes; the others lie right behind in calldata.
    function decode(bytes calldata data, uint256 length)
        external
        pure
        returns (NodeCodec.Node memory node, uint256 coordinate, uint256 instruction)
    {
        node = NodeCodec.decode(data[:length]);
        return (node, NodeCodec.firstCoordinate(node), NodeCodec.firstInstruction(node));
    }

    function check(bytes calldata data) external pure {
        ScalarProgram.check(NodeCodec.decode(data));
    }

    function decodeBinding(bytes calldata data) external pure returns (uint256, uint256, uint256, uint256) {
        return NodeCodec.decodeBinding(data);
    }

    /// @dev Shape (5), domain (3), one operand of shape (5), one load with one axis.
    function _smallNode() private pure returns (FoldNode memory n) {
        for (uint256 seed = 0;; ++seed) {
            n = RandomNode.any(seed);
            if (
                n.shape.length == 1 && n.domain.length == 1 && n.operands.length == 1
                    && n.operands[0].shape.length == 1 && n.loads.length == 1 && n.loads[0].axes.length > 0
            ) return n;
        }
    }
}
