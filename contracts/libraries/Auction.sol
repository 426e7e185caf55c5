// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A sealed-bid auction at the second price
/// @notice Of the revealed bids only the lowest two count: O(1) for each reveal, nothing to loop over.
library Auction {
    struct Book {
        address winner; // lowest bidder so far
        uint32 commits;
        uint32 reveals;
        uint128 lowest;
        uint128 second;
    }

    /// @notice Enters a revealed bid. Of equal prices the earlier reveal wins.
    function enter(Book storage book, address bidder, uint128 price) internal {
        uint32 reveals = book.reveals;
        if (reveals == 0 || price < book.lowest) {
            book.second = book.lowest;
            book.lowest = price;
            book.winner = bidder;
        } else if (reveals == 1 || price < book.second) {
            book.second = price;
        }
        book.reveals = reveals + 1;
    }

    /// @notice What the winner earns: the second lowest price, or the reserve if it is alone.
    function clearingPrice(Book storage book, uint128 reserve) internal view returns (uint128) {
        return book.reveals == 1 ? reserve : book.second;
    }
}
