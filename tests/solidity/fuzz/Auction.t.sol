// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Auction} from "../../../contracts/libraries/Auction.sol";
import {Test} from "../support/Test.sol";

/// @title Auction against a plain sort of all the bids
contract AuctionTest is Test {
    using Auction for Auction.Book;

    Auction.Book private _book;

    function testFuzz_book_anyBids_hasTheLowestAndSecondLowest(uint256 seed, uint256 count) public {
        count = bound(count, 1, 24);
        this.checkBids(seed, count);
    }

    /// @dev The same on fixed bids, with ties for the first and the second place among them.
    function test_book_corpus_meetsTiesAndEveryPlaceOfTheWinner() public {
        uint256 tiedFirst;
        uint256 tiedSecond;
        uint256 winnerLast;
        for (uint256 i = 0; i < 120; ++i) {
            uint256 count = 1 + i % 12;
            uint128[] memory prices = _prices(i, count);
            (uint256 winner, uint128 lowest, uint128 second) = _sorted(prices);
            uint256 same;
            for (uint256 k = 0; k < count; ++k) {
                if (prices[k] == second) ++same;
            }
            if (count > 1 && lowest == second) ++tiedFirst;
            else if (same > 1) ++tiedSecond;
            if (count > 1 && winner == count - 1) ++winnerLast;
            delete _book;
            this.checkBids(i, count);
        }
        vm.assertGe(tiedFirst, 10, "ties for the first place");
        vm.assertGe(tiedSecond, 5, "ties for the second place");
        vm.assertGe(winnerLast, 5, "the last bid wins");
    }

    function checkBids(uint256 seed, uint256 count) external {
        uint128[] memory prices = _prices(seed, count);
        for (uint256 k = 0; k < count; ++k) {
            _book.enter(address(uint160(k + 1)), prices[k]);
        }
        (uint256 winner, uint128 lowest, uint128 second) = _sorted(prices);
        uint128 reserve = uint128(derive(seed, 99));
        vm.assertEq(_book.winner, address(uint160(winner + 1)), "the earliest of the lowest bids wins");
        vm.assertEq(_book.lowest, lowest, "lowest");
        vm.assertEq(_book.reveals, count, "reveals");
        vm.assertEq(_book.clearingPrice(reserve), count == 1 ? reserve : second, "price");
        // An honest bidder never earns less than it asked.
        if (count > 1) vm.assertLe(lowest, _book.clearingPrice(reserve));
    }

    /// @dev Few different prices, so that ties are frequent, or any.
    function _prices(uint256 seed, uint256 count) private pure returns (uint128[] memory prices) {
        prices = new uint128[](count);
        for (uint256 k = 0; k < count; ++k) {
            uint128 word = uint128(derive(seed, k));
            prices[k] = seed % 2 == 0 ? word % 8 : word;
        }
    }

    /// @dev A stable insertion sort: place of the first bid, and the two lowest prices (0 if there is none).
    function _sorted(uint128[] memory prices) private pure returns (uint256, uint128, uint128) {
        uint256[] memory order = new uint256[](prices.length);
        for (uint256 k = 0; k < prices.length; ++k) {
            uint256 at_ = k;
            for (; at_ > 0 && prices[order[at_ - 1]] > prices[k]; --at_) {
                order[at_] = order[at_ - 1];
            }
            order[at_] = k;
        }
        return (order[0], prices[order[0]], prices.length > 1 ? prices[order[1]] : 0);
    }
}
