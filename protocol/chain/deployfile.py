"""The deployments file: which contracts, on which chain, with which constants.

It is written by whoever deploys and read by everybody else, who believe none of it: chain id,
genesis, the code of every contract and how they are wired are compared with the chain at start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eth_utils.address import is_checksum_address

from protocol.chain.artifact import Artifact, load_artifact
from protocol.chain.deployment import CONTRACTS, Deployment
from protocol.chain.errors import ChainError
from protocol.chain.presets import PRESETS, Preset
from protocol.chain.rpc import RpcChain, WrongChain
from protocol.program.strict_json import read_json

if TYPE_CHECKING:
    from web3.contract import Contract

FORMAT: Final = 1
MAX_BYTES: Final = 1 << 16

# Contract -> what it must answer about the others. The token may be anybody's, its code is free.
WIRING: Final = {
    "vault": ("token", "registry", "market", "dispute"),
    "registry": ("vault",),
    "market": ("vault", "registry", "claims"),
    "claims": ("market", "registry", "dispute"),
    "dispute": ("claims", "vault", "judge"),
}


class DeployFileError(ChainError):
    """A deployments file cannot be read, or says what cannot be."""


class WrongContract(WrongChain):
    """What lies at an address is not the contract that it should be."""


@dataclass(frozen=True)
class DeployFile:
    """A deployment as it is written down.

    Attributes:
        chain_id: of the chain.
        genesis: hash of block 0, 0x and hexadecimal digits: tells devnets apart.
        preset: name of its constants.
        first_block: no event of the deployment is older.
        addresses: of each contract by its role.
        own_token: whether the token is the project's development token.
    """

    chain_id: int
    genesis: str
    preset: str
    first_block: int
    addresses: Mapping[str, str]
    own_token: bool = True

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    @staticmethod
    def load(path: Path) -> DeployFile:
        """Read a file. DeployFileError."""
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise DeployFileError(
                "there is no deployments file",
                f"cannot read {path}: {error.strerror}",
                "name it with --deployment, or make one: `pinpoint devnet up`, `pinpoint deploy`",
            ) from error
        try:
            if len(raw) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES} bytes")
            return _parse(read_json(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeployFileError(
                f"{path} is not a deployments file",
                f"{type(error).__name__}: {error}",
                "get it again from whoever deployed",
            ) from error

    def connect(self, chain: RpcChain) -> Deployment:
        """Bind the contracts after comparing everything with the chain.

        Raises:
            WrongChain: another chain id or genesis.
            WrongContract: other code, other wiring or other constants at an address.
            RpcUnreachable: nobody answers.
        """
        if chain.chain_id != self.chain_id:
            raise WrongChain(
                "the endpoint is another chain",
                f"{chain.endpoints} is chain {chain.chain_id}, the deployments file is of chain "
                f"{self.chain_id}",
                "name the right endpoint with --rpc, or the right file with --deployment",
            )
        genesis = f"0x{chain.genesis().hex()}"
        if genesis != self.genesis:
            raise WrongChain(
                "the endpoint is another chain",
                f"{chain.endpoints} began with block {genesis}, that of the deployments file with "
                f"{self.genesis}",
                "a devnet that was started anew is another chain: deploy again",
            )
        deployment = Deployment.connect(chain, PRESETS[self.preset], self.addresses)
        for role, name in CONTRACTS.items():
            if role != "token" or self.own_token:
                _compare_code(chain, role, self.addresses[role], load_artifact(name))
        endgame = str(chain.call(deployment.dispute.functions.endgame()))
        _compare_code(chain, "endgame", endgame, load_artifact("Endgame"))
        _compare_wiring(chain, deployment)
        _compare_constants(chain, deployment, deployment.preset)
        return deployment


def describe(deployment: Deployment, chain: RpcChain, first_block: int) -> DeployFile:
    """The file of a deployment that was just made."""
    token = bytes(chain.w3.eth.get_code(deployment.token.address))
    return DeployFile(
        chain_id=chain.chain_id,
        genesis=f"0x{chain.genesis().hex()}",
        preset=deployment.preset.name,
        first_block=first_block,
        addresses=deployment.addresses,
        own_token=load_artifact(CONTRACTS["token"]).is_code(token),
    )


def _parse(data: Any) -> DeployFile:
    if data.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    file = DeployFile(**data)
    if file.preset not in PRESETS:
        raise ValueError(f"no preset {file.preset!r} among {sorted(PRESETS)}")
    if set(file.addresses) != set(CONTRACTS):
        raise ValueError(f"addresses of {sorted(file.addresses)}, expected {sorted(CONTRACTS)}")
    for role, address in file.addresses.items():
        if not is_checksum_address(address):
            raise ValueError(f"{role}: {address!r} is not an address with checksum")
    numbers = (file.chain_id, file.first_block)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"chain_id and first_block must be counts, got {numbers}")
    return file


def _compare_code(chain: RpcChain, role: str, address: str, artifact: Artifact) -> None:
    code = bytes(chain.w3.eth.get_code(chain.w3.to_checksum_address(address)))
    if artifact.is_code(code):
        return
    what = f"other code of {len(code)} bytes" if code else "no code"
    raise WrongContract(
        "a contract is not what it should be",
        f"the {role} at {address} has {what}, expected the {artifact.code_size} bytes of "
        f"{artifact.name} of this release",
        "use the release that the deployment was made with, or do not deal with this deployment",
    )


def _compare_wiring(chain: RpcChain, deployment: Deployment) -> None:
    for role, others in WIRING.items():
        contract: Contract = getattr(deployment, role)
        for other in others:
            got = chain.call(contract.functions[other]())
            if got != deployment.addresses[other]:
                raise WrongContract(
                    "the contracts are not one deployment",
                    f"the {role} says that its {other} is {got}, the deployments file says "
                    f"{deployment.addresses[other]}",
                    "do not deal with it",
                )


def _compare_constants(chain: RpcChain, deployment: Deployment, preset: Preset) -> None:
    registry = deployment.registry.functions
    for what, got, expected in (
        (
            "market's constants",
            tuple(chain.call(deployment.market.functions.constants())),
            preset.market.to_tuple(),
        ),
        (
            "dispute's parameters",
            tuple(chain.call(deployment.dispute.functions.parameters())),
            preset.dispute.to_tuple(),
        ),
        (
            "registry's minimum stake and unbonding time",
            (chain.call(registry.minimumStake()), chain.call(registry.unbondingSeconds())),
            (preset.minimum_verifier_stake, preset.unbonding_seconds),
        ),
    ):
        if got != expected:
            raise WrongContract(
                "the deployments file names the wrong preset",
                f"the {what} are {got}, the preset {preset.name!r} has {expected}",
                "get the file again from whoever deployed",
            )
