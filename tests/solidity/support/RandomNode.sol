// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Floats} from "./Floats.sol";
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
} from "./FoldNode.sol";

/// @title Random nodes that the decoder accepts, small but with every part
library RandomNode {
    function any(uint256 seed) internal pure returns (FoldNode memory n) {
        n.dtype = uint8(1 + _draw(seed, 0) % 3);
        n.shape = _shape(_draw(seed, 1), 4);
        n.domain = _shape(_draw(seed, 2), 3);
        n.init = uint32(Floats.any(_draw(seed, 3)));
        n.operands = new FoldOperand[](_draw(seed, 4) % 4);
        for (uint256 i = 0; i < n.operands.length; ++i) {
            uint256 s = _draw(seed, 100 + i);
            n.operands[i] =
                FoldOperand(uint8(s % 3), uint32(s >> 8), uint8(1 + (s >> 64) % 3), _shape(_draw(s, 1), 4));
        }
        n.loads = new FoldLoad[](n.operands.length == 0 ? 0 : _draw(seed, 5) % 5);
        for (uint256 k = 0; k < n.loads.length; ++k) {
            n.loads[k] = _load(_draw(seed, 200 + k), n, k);
        }
        n.guards = new FoldGuard[](n.loads.length == 0 || n.shape.length == 0 ? 0 : _draw(seed, 6) % 3);
        for (uint256 i = 0; i < n.guards.length; ++i) {
            uint256 s = _draw(seed, 300 + i);
            n.guards[i] = FoldGuard(uint8(s % n.loads.length), uint8((s >> 64) % n.shape.length));
        }
        n.constants = new FoldConstant[](_draw(seed, 7) % 4);
        for (uint256 i = 0; i < n.constants.length; ++i) {
            uint256 s = _draw(seed, 400 + i);
            n.constants[i] = FoldConstant(uint8(s % 2), uint32(Floats.any(s >> 1)));
        }
        n.code = code(_draw(seed, 8), _draw(seed, 9) % 9, FoldNodes.firstInstruction(n));
        uint256 values = FoldNodes.firstInstruction(n) + n.code.length;
        // The last value in most cases.
        n.result = uint8(_draw(seed, 10) % 4 == 0 ? _draw(seed, 11) % values : values - 1);
    }

    /// @notice Random instructions; arguments are defined before their use, the newest ones preferred.
    function code(uint256 seed, uint256 count, uint256 defined)
        internal
        pure
        returns (FoldInstruction[] memory list)
    {
        list = new FoldInstruction[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 s = _draw(seed, i);
            uint256 op = s % 36 < 16 ? 1 + s % 36 : 0x21 + s % 36 - 16;
            list[i] = FoldInstruction(
                uint8(op),
                uint8(_argument(_draw(s, 1), defined + i)),
                uint8(_argument(_draw(s, 2), defined + i)),
                uint8(_argument(_draw(s, 3), defined + i))
            );
        }
    }

    function _argument(uint256 seed, uint256 defined) private pure returns (uint256) {
        if (seed % 2 == 0 && defined > 3) return defined - 1 - (seed >> 8) % 3;
        return (seed >> 8) % defined;
    }

    /// @dev A view that stays inside its operand: the reach of each axis is taken from what is left.
    function _load(uint256 seed, FoldNode memory n, uint256 earlier) private pure returns (FoldLoad memory l) {
        l.operand = uint8(_draw(seed, 0) % n.operands.length);
        l.flags = uint8(_draw(seed, 1) % 2);
        l.fill = uint32(Floats.any(_draw(seed, 2)));
        uint256 left = FoldNodes.numel(n.operands[l.operand].shape) - 1;
        l.offset = uint64(_draw(seed, 3) % 2 == 0 ? 0 : _draw(seed, 4) % (left + 1));
        left -= l.offset;
        l.axes = new FoldAxis[](_draw(seed, 5) % 4);
        for (uint256 i = 0; i < l.axes.length; ++i) {
            FoldAxis memory a = _axis(_draw(seed, 10 + i), n.shape.length + n.domain.length, earlier);
            if (a.size > left + 1) a.size = uint32(left + 1);
            uint256 widest = a.size == 1 ? type(uint64).max : left / (a.size - 1);
            a.stride = uint64(_draw(seed, 20 + i) % 3 == 0 ? widest : _draw(seed, 30 + i) % (widest + 1));
            left -= uint256(a.stride) * (a.size - 1);
            l.axes[i] = a;
        }
    }

    function _axis(uint256 seed, uint256 coordinates, uint256 earlier) private pure returns (FoldAxis memory a) {
        a.size = uint32(1 + _draw(seed, 0) % 6);
        a.divisor = uint32(_draw(seed, 1) % 4 == 0 ? 2 + _draw(seed, 2) % 3 : 1);
        // Mostly near zero, now and then anything.
        uint256 s = _draw(seed, 3);
        a.shift = s % 8 == 0 ? int64(uint64(s >> 8)) : int64(int256((s >> 8) % 5)) - 1;
        a.terms = new FoldAxisTerm[](coordinates + earlier == 0 ? 0 : _draw(seed, 4) % 4);
        for (uint256 i = 0; i < a.terms.length; ++i) {
            s = _draw(seed, 10 + i);
            uint256 source = s % (coordinates + earlier);
            source = source < coordinates ? source : 0x80 + source - coordinates;
            s >>= 16;
            int32 coef = s % 8 == 0 ? int32(uint32(s >> 8)) : int32(int256((s >> 8) % 5)) - 1;
            a.terms[i] = FoldAxisTerm(uint8(source), coef);
        }
    }

    function _shape(uint256 seed, uint256 ranks) private pure returns (uint32[] memory shape) {
        shape = new uint32[](_draw(seed, 0) % ranks);
        for (uint256 i = 0; i < shape.length; ++i) {
            shape[i] = uint32(1 + _draw(seed, 1 + i) % 5);
        }
    }

    function _draw(uint256 seed, uint256 index) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, index)));
    }
}
