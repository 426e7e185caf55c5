// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../../../contracts/interfaces/IJudge.sol";
import {FoldTerm} from "../../../contracts/libraries/FoldTerm.sol";
import {NodeCodec} from "../../../contracts/libraries/NodeCodec.sol";
import {Floats} from "../support/Floats.sol";
import {FoldNode, FoldNodes, FoldOperand} from "../support/FoldNode.sol";
import {PlainFold} from "../support/PlainFold.sol";
import {RandomNode} from "../support/RandomNode.sol";
import {Test} from "../support/Test.sol";

/// @title Terms of folds against a plain evaluator that never sees the bytes
contract FoldTermTest is Test {
    using FoldNodes for FoldNode;

    struct Case {
        FoldNode node;
        uint256 element;
        uint256 term;
        uint32 previous;
        uint32[] words;
    }

    function testFuzz_apply_anyTerm_equalsThePlainEvaluator(uint256 seed) public view {
        Case memory c = _case(seed);
        (uint32 twin,) = PlainFold.applyTerm(c.node, c.element, c.term, c.previous, c.words);
        vm.assertEq(this.applyTerm(c.node.encode(), c.element, c.term, c.previous, c.words), twin);
    }

    function testFuzz_locate_anyLoad_equalsThePlainEvaluator(uint256 seed) public view {
        Case memory c = _case(seed);
        for (uint256 k = 0; k < c.node.loads.length; ++k) {
            IJudge.Located memory got = this.locate(c.node.encode(), c.element, c.term, k, c.words);
            (bool inBounds, uint256 address_) = _locate(c, k);
            vm.assertEq(got.inBounds, inBounds, "in bounds");
            vm.assertEq(got.fill, c.node.loads[k].fill, "fill");
            FoldOperand memory o = c.node.operands[c.node.loads[k].operand];
            vm.assertEq(got.kind, inBounds ? o.kind : 0, "kind");
            vm.assertEq(got.index, inBounds ? o.index : 0, "index");
            vm.assertEq(got.dtype, inBounds ? o.dtype : 0, "dtype");
            vm.assertEq(got.numel, inBounds ? FoldNodes.numel(o.shape) : 0, "numel");
            vm.assertEq(got.address_, inBounds ? address_ : 0, "address");
            // What the decoder's bound on the highest address is for.
            vm.assertTrue(!inBounds || got.address_ < got.numel, "an address within its operand");
        }
    }

    /// @notice Element, term, load and number of words out of range: refused with both values, in this order.
    function testFuzz_applyAndLocate_outOfRange_areRefused(uint256 seed) public {
        Case memory c = _case(seed);
        bytes memory data = c.node.encode();
        uint256 numel = FoldNodes.numel(c.node.shape);
        uint256 terms = FoldNodes.numel(c.node.domain);
        uint256 loads = c.words.length;
        uint256 beyond = derive(seed, 50) % 1e6;

        bytes memory refusal = abi.encodeWithSelector(IJudge.ElementOutside.selector, numel + beyond, numel);
        vm.expectRevert(refusal);
        this.applyTerm(data, numel + beyond, c.term, 0, c.words);
        refusal = abi.encodeWithSelector(IJudge.TermOutside.selector, terms + beyond, terms);
        vm.expectRevert(refusal);
        this.applyTerm(data, c.element, terms + beyond, 0, c.words);
        refusal = abi.encodeWithSelector(IJudge.WordCount.selector, loads, loads + 1);
        vm.expectRevert(refusal);
        this.applyTerm(data, c.element, c.term, 0, new uint32[](loads + 1));
        refusal = abi.encodeWithSelector(IJudge.LoadOutside.selector, loads + beyond, loads);
        vm.expectRevert(refusal);
        this.locate(data, c.element, c.term, loads + beyond, c.words);
    }

    /// @notice Loads after the one that is located do not matter to it.
    function testFuzz_locate_laterWords_doNotCount(uint256 seed) public view {
        Case memory c = _case(seed);
        if (c.words.length == 0) return;
        bytes memory data = c.node.encode();
        uint256 k = derive(seed, 60) % c.words.length;
        IJudge.Located memory before = this.locate(data, c.element, c.term, k, c.words);
        for (uint256 i = k; i < c.words.length; ++i) {
            c.words[i] = uint32(derive(seed, 70 + i));
        }
        IJudge.Located memory later = this.locate(data, c.element, c.term, k, c.words);
        vm.assertEq(keccak256(abi.encode(before)), keccak256(abi.encode(later)));
    }

    function test_terms_corpus_meetsSkipsGuardsAndBothSidesOfBounds() public view {
        uint256[5] memory met; // skipped, run, in bounds, out of bounds, nodes with guards
        for (uint256 i = 0; i < 300; ++i) {
            Case memory c = _case(i);
            this.testFuzz_apply_anyTerm_equalsThePlainEvaluator(i);
            this.testFuzz_locate_anyLoad_equalsThePlainEvaluator(i);
            (, bool skipped) = PlainFold.applyTerm(c.node, c.element, c.term, c.previous, c.words);
            ++met[skipped ? 0 : 1];
            if (c.node.guards.length > 0) ++met[4];
            for (uint256 k = 0; k < c.node.loads.length; ++k) {
                (bool inBounds,) = _locate(c, k);
                ++met[inBounds ? 2 : 3];
            }
        }
        uint8[5] memory least = [50, 100, 100, 100, 50];
        for (uint256 k = 0; k < 5; ++k) {
            vm.assertGe(met[k], least[k], string.concat("terms of kind ", vm.toString(k)));
        }
    }

    // --- from outside: the libraries read calldata ----------------------------------------------------------------

    function applyTerm(bytes calldata data, uint256 element, uint256 term, uint256 previous, uint32[] calldata words)
        external
        pure
        returns (uint256)
    {
        return FoldTerm.apply_(NodeCodec.decode(data), element, term, previous, words);
    }

    function locate(bytes calldata data, uint256 element, uint256 term, uint256 load, uint32[] calldata words)
        external
        pure
        returns (IJudge.Located memory)
    {
        return FoldTerm.locate(NodeCodec.decode(data), element, term, load, words);
    }

    function _locate(Case memory c, uint256 load) private pure returns (bool, uint256) {
        return PlainFold.locate(
            c.node.loads[load],
            PlainFold.loadedWords(c.node, c.words),
            PlainFold.coordinatesOf(c.node, c.element, c.term)
        );
    }

    /// @dev Words that equal a coordinate are frequent, so that guards hold and computed addresses stay inside.
    function _case(uint256 seed) private pure returns (Case memory c) {
        c.node = RandomNode.any(derive(seed, 0));
        c.element = derive(seed, 1) % FoldNodes.numel(c.node.shape);
        c.term = derive(seed, 2) % FoldNodes.numel(c.node.domain);
        c.previous = uint32(Floats.any(derive(seed, 3)));
        c.words = new uint32[](c.node.loads.length);
        for (uint256 i = 0; i < c.words.length; ++i) {
            uint256 s = derive(seed, 20 + i);
            c.words[i] = uint32(s % 3 != 0 ? (s >> 8) % 3 : Floats.any(s >> 8));
        }
    }
}
