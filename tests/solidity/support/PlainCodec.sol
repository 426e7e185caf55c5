// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A reader of a node's bytes, one field after the other as docs/PROTOCOL.md, section 3 lists them
/// @notice The plain twin of NodeCodec and of ScalarProgram.check: it says whether the bytes are a node. It reads byte
/// by byte, never past the end, and remembers what later fields are checked against.
library PlainCodec {
    struct Reader {
        bytes data;
        uint256 at_;
        bool bad;
        uint256 rank;
        uint256 domainRank;
        uint256[] numels; // of the operands
        uint256 loads; // read so far
    }

    uint256 private constant MOST = 2 ** 31 - 1;

    /// @return decodes Whether all but the instructions are in order
    /// @return runs Whether the instructions are too
    function isNode(bytes memory data) internal pure returns (bool decodes, bool runs) {
        Reader memory r;
        r.data = data;
        _expect(r, data.length <= 4096 && _number(r, 1) == 1);
        uint256 dtype = _number(r, 1);
        _expect(r, dtype >= 1 && dtype <= 3);
        (r.rank,) = _shape(r);
        (r.domainRank,) = _shape(r);
        _number(r, 4);
        _operands(r);
        _loads(r);
        _guards(r);
        uint256 defined = 1 + r.loads + _constants(r) + r.rank + r.domainRank;
        bool sound;
        (defined, sound) = _code(r, defined);
        _expect(r, _number(r, 1) < defined);
        decodes = !r.bad && r.at_ == data.length;
        runs = decodes && sound;
    }

    function isBinding(bytes memory data) internal pure returns (bool) {
        Reader memory r;
        r.data = data;
        _expect(r, _number(r, 1) == 2);
        _expect(r, _number(r, 1) <= 1);
        _number(r, 4);
        uint256 dtype = _number(r, 1);
        _expect(r, dtype >= 1 && dtype <= 3);
        _shape(r);
        return !r.bad && r.at_ == data.length;
    }

    function _operands(Reader memory r) private pure {
        r.numels = new uint256[](_count(r, 16));
        for (uint256 i = 0; i < r.numels.length; ++i) {
            _expect(r, _number(r, 1) <= 2);
            _number(r, 4);
            uint256 dtype = _number(r, 1);
            _expect(r, dtype >= 1 && dtype <= 3);
            (, r.numels[i]) = _shape(r);
        }
    }

    function _loads(Reader memory r) private pure {
        for (uint256 left = _count(r, 16); left != 0; --left) {
            uint256 operand = _number(r, 1);
            _expect(r, operand < r.numels.length);
            _expect(r, _number(r, 1) <= 1);
            _number(r, 4);
            uint256 last = _number(r, 8);
            for (uint256 axes = _count(r, 8); axes != 0; --axes) {
                last += _axis(r);
            }
            _expect(r, !r.bad && last < r.numels[operand]);
            ++r.loads;
        }
    }

    function _axis(Reader memory r) private pure returns (uint256 reach) {
        uint256 size = _number(r, 4);
        _expect(r, size >= 1 && size <= MOST);
        if (r.bad) return 0;
        reach = _number(r, 8) * (size - 1);
        uint256 divisor = _number(r, 4);
        _expect(r, divisor >= 1 && divisor <= MOST);
        _number(r, 8);
        for (uint256 terms = _count(r, 16); terms != 0; --terms) {
            uint256 source = _number(r, 1);
            _expect(r, source < 0x80 ? source < r.rank + r.domainRank : source - 0x80 < r.loads);
            _number(r, 4);
        }
    }

    function _guards(Reader memory r) private pure {
        for (uint256 left = _count(r, 4); left != 0; --left) {
            _expect(r, _number(r, 1) < r.loads);
            _expect(r, _number(r, 1) < r.rank);
        }
    }

    function _constants(Reader memory r) private pure returns (uint256 count) {
        count = _count(r, 64);
        for (uint256 i = 0; i < count; ++i) {
            _expect(r, _number(r, 1) <= 1);
            _number(r, 4);
        }
    }

    function _code(Reader memory r, uint256 defined) private pure returns (uint256, bool sound) {
        sound = true;
        for (uint256 left = _count(r, 128); left != 0; --left) {
            uint256 op = _number(r, 1);
            if (op == 0 || (op > 0x10 && op < 0x21) || op > 0x34) sound = false;
            for (uint256 i = 0; i < 3; ++i) {
                if (_number(r, 1) >= defined) sound = false;
            }
            ++defined;
        }
        return (defined, sound);
    }

    function _shape(Reader memory r) private pure returns (uint256 rank, uint256 numel) {
        rank = _count(r, 8);
        numel = 1;
        for (uint256 i = 0; i < rank; ++i) {
            numel *= _number(r, 4);
        }
        _expect(r, numel >= 1 && numel <= MOST);
    }

    /// @dev A count above its cap spoils everything and counts as 0, so that nobody loops over it.
    function _count(Reader memory r, uint256 most) private pure returns (uint256 count) {
        count = _number(r, 1);
        _expect(r, count <= most);
        if (r.bad) count = 0;
    }

    function _number(Reader memory r, uint256 width) private pure returns (uint256 value) {
        _expect(r, r.at_ + width <= r.data.length);
        if (r.bad) return 0;
        for (uint256 i = 0; i < width; ++i) {
            value = value * 256 + uint8(r.data[r.at_++]);
        }
    }

    function _expect(Reader memory r, bool condition) private pure {
        if (!condition) r.bad = true;
    }
}
