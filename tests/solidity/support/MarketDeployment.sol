// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DisputeStandIn} from "../../../contracts/harness/DisputeStandIn.sol";
import {IClaims} from "../../../contracts/interfaces/IClaims.sol";
import {IDispute, IDisputeTypes} from "../../../contracts/interfaces/IDispute.sol";
import {Constants, IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {IVerification} from "../../../contracts/interfaces/IVerification.sol";
import {Test} from "./Test.sol";

/// @notice Everything that the claims contract answers.
interface IAllOfClaims is IVerification, IClaims {}

/// @title Deploys a whole market as `protocol/chain/deployment.py` does
/// @notice Vault, registry, market, claims and dispute know one another by CREATE addresses, so their order counts.
/// The constants are those of the preset `minimal`; a suite overrides what it wants otherwise.
/// @dev The contracts are known by their interfaces only: importing their sources would compile them again.
abstract contract MarketDeployment is Test {
    uint256 internal constant WAD = 1e18;
    uint256 internal constant TOKEN = 1e18;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant SUPPLY = 10 ** 9 * TOKEN;

    address internal token;
    IVault internal vault;
    IRegistry internal registry;
    IMarket internal market;
    IAllOfClaims internal claims;
    IDispute internal dispute;
    /// @dev In the place of `dispute` after `deployMarketWithStandIn`: obeys anyone.
    DisputeStandIn internal standIn;

    function marketConstants() internal view virtual returns (Constants memory c) {
        c.openRevealSeconds = 60;
        c.reopenSeconds = 600;
        c.maxSeconds = 30 days;
        c.maxWindowSeconds = 7 days;
        c.drawDelayBlocks = 2;
        c.honestWad = uint64(WAD / 2);
        c.openCheckWad = uint64(WAD / 5);
        c.challengerWad = uint64(WAD / 4);
        c.requesterWad = uint64(WAD / 4);
        c.depositWad = uint64(WAD / 20);
        c.noShowWad = uint64(WAD / 10);
        c.hashingWad = uint64(WAD);
        c.traceWad = uint64(WAD / 10);
        c.clockMissWad = uint64(WAD / 200);
        c.solverGas = 4_000_000;
        c.weiPerGas = 150_000_000_000;
    }

    function disputeParameters() internal view virtual returns (IDisputeTypes.Parameters memory p) {
        p.solverSeconds = 600;
        p.openerSeconds = 600;
        p.graceSeconds = 30;
        p.coverShare = uint64(WAD / 2);
        p.unrevealedShare = uint64(WAD / 10);
    }

    function minimumVerifierStake() internal view virtual returns (uint256) {
        return 100 * TOKEN;
    }

    function unbondingSeconds() internal view virtual returns (uint64) {
        return 8 days;
    }

    /// @notice A development token whose whole supply is the test's.
    function deployToken() internal returns (address) {
        return deployArtifact("token/DevToken.sol", "DevToken", abi.encode(address(this), SUPPLY));
    }

    /// @notice The whole system around a token.
    function deployMarket(address token_) internal {
        address judge = deployArtifact("judgement/Judge.sol", "Judge", "");
        address promised = _deployUpToClaims(token_);
        dispute = IDispute(
            deployArtifact(
                "dispute/Dispute.sol", "Dispute", abi.encode(claims, vault, judge, disputeParameters())
            )
        );
        require(address(dispute) == promised, "the dispute has another address than the others were told");
    }

    /// @notice The market around a token, with a stand-in that opens, closes and convicts as anyone says.
    function deployMarketWithStandIn(address token_) internal {
        address promised = _deployUpToClaims(token_);
        standIn = DisputeStandIn(
            deployArtifact("harness/DisputeStandIn.sol", "DisputeStandIn", abi.encode(claims, vault))
        );
        require(address(standIn) == promised, "the stand-in has another address than the others were told");
    }

    /// @dev Returns the address that the next contract of this test must have.
    function _deployUpToClaims(address token_) private returns (address dispute_) {
        token = token_;
        uint256 nonce = vm.getNonce(address(this));
        address registry_ = vm.computeCreateAddress(address(this), nonce + 1);
        address market_ = vm.computeCreateAddress(address(this), nonce + 2);
        address claims_ = vm.computeCreateAddress(address(this), nonce + 3);
        dispute_ = vm.computeCreateAddress(address(this), nonce + 4);
        vault = IVault(
            deployArtifact("market/Vault.sol", "Vault", abi.encode(token_, registry_, market_, dispute_))
        );
        registry = IRegistry(
            deployArtifact(
                "market/Registry.sol", "Registry", abi.encode(vault, minimumVerifierStake(), unbondingSeconds())
            )
        );
        market = IMarket(
            deployArtifact(
                "market/Market.sol", "Market", abi.encode(vault, registry, claims_, marketConstants())
            )
        );
        claims =
            IAllOfClaims(deployArtifact("market/Claims.sol", "Claims", abi.encode(market, registry, dispute_)));
        require(
            address(registry) == registry_ && address(market) == market_ && address(claims) == claims_,
            "a contract has another address than the others were told"
        );
    }
}
