"""`pinpoint deploy`: puts a market on a chain and writes the deployments file.

Run again after an interruption it goes on: which addresses the contracts get follows from the
deployer's nonce, which the plan beside the file keeps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.flags import SendFlags, takes
from protocol.cli.output import emit, print_fields, say
from protocol.cli.settings import DEFAULT_HOME, DryRunOption, JsonOption

if TYPE_CHECKING:
    from protocol.chain.deployfile import DeployFile
    from protocol.chain.deployment import DeploymentPlan
    from protocol.chain.presets import Preset
    from protocol.chain.rpc import RpcChain

app = typer.Typer(help="Deploy a market.")
PAGE = "docs/operate/deploy.md"


@app.command("deploy")
@takes(SendFlags, home=DEFAULT_HOME / "deployer")
def deploy(
    flags: SendFlags,
    preset: Annotated[
        str, typer.Option("--preset", help="Constants: devnet, local or minimal.")
    ] = "devnet",
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="Address of an existing ERC-20; a development token is deployed if missing.",
            metavar="ADDRESS",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy all contracts from one account, which gets no rights, and write the file.

    Nothing is deployed twice: run it again after an interruption. The account must do nothing else
    meanwhile.
    """
    from protocol.agents.process.runtime import open_account
    from protocol.chain.presets import PRESETS

    if preset not in PRESETS:
        raise UserError(
            "no such preset",
            f"{preset!r} is none of {', '.join(PRESETS)}",
            "name one of them",
            PAGE,
            Code.USAGE,
        )
    deployment = flags.deployment
    with open_account(flags.operator()) as chain:
        plan = _plan(chain, PRESETS[preset], token, deployment)
        value: dict[str, Any] = {
            "chain_id": chain.chain_id,
            "preset": preset,
            "deployer": plan.deployer,
            "addresses": plan.addresses,
            "present": _present(chain, plan),
            "deployments_file": str(deployment),
        }
        if not dry_run:
            file = _carry_out(chain, plan, deployment)
            value["present"] = sorted(file.addresses)
    title = "would deploy" if dry_run else "deployed"
    emit(value, lambda: _show(value, title), as_json=as_json)


def _plan(chain: RpcChain, preset: Preset, token: str | None, deployment: Path) -> DeploymentPlan:
    """The interrupted plan beside the deployments file, or a new one.

    UserError if the file exists, or the interrupted plan is another one.
    """
    from protocol.chain.deployment import DeploymentPlan, plan_deployment

    if deployment.exists():
        raise UserError(
            "there is a deployments file already",
            f"{deployment} exists, and what it names cannot be had again",
            "name another file with --deployment, or move it away",
            PAGE,
            Code.USAGE,
        )
    fresh = plan_deployment(chain, preset, token=token)
    journal = _journal(deployment)
    if not journal.exists():
        return fresh
    known = json.loads(journal.read_text(encoding="utf-8"))
    begun = {
        "chain": f"0x{chain.genesis().hex()}",
        "deployer": fresh.deployer,
        "preset": preset.name,
        "token": token,
    }
    different = [key for key, value in begun.items() if known.get(key) != value]
    if different:
        raise UserError(
            "another deployment was begun here",
            "; ".join(f"{key} was {known.get(key)}, now {begun[key]}" for key in different),
            f"finish that one with its own flags, or remove {journal} to begin anew",
            PAGE,
            Code.USAGE,
        )
    plan = DeploymentPlan(fresh.deployer, int(known["first_nonce"]), preset, token)
    say(f"going on with the deployment that began with nonce {plan.first_nonce}")
    return plan


def _carry_out(chain: RpcChain, plan: DeploymentPlan, deployment: Path) -> DeployFile:
    from protocol.chain.deployfile import describe
    from protocol.training.tensors import write_bytes

    journal = _journal(deployment)
    journal.parent.mkdir(parents=True, exist_ok=True)
    if not journal.exists():
        begun = {
            "chain": f"0x{chain.genesis().hex()}",
            "deployer": plan.deployer,
            "first_nonce": plan.first_nonce,
            "preset": plan.preset.name,
            "token": plan.token,
            "first_block": int(chain.w3.eth.block_number),
        }
        write_bytes(journal, (json.dumps(begun, indent=2) + "\n").encode())
    first_block = int(json.loads(journal.read_text(encoding="utf-8"))["first_block"])
    file = describe(plan.carry_out(chain), chain, first_block)
    file.connect(chain)  # what others will compare, compared before they rely on it
    file.save(deployment)
    journal.unlink()
    return file


def _journal(deployment: Path) -> Path:
    return deployment.with_name(f"{deployment.name}.begun")


def _present(chain: RpcChain, plan: DeploymentPlan) -> list[str]:
    """The roles whose contracts are on the chain already."""
    return sorted(
        role
        for role, address in plan.addresses.items()
        if chain.w3.eth.get_code(chain.w3.to_checksum_address(address))
    )


def _show(value: dict[str, Any], title: str) -> None:
    fields = {key: text for key, text in value.items() if key not in ("addresses", "present")}
    print_fields(fields, title=title)
    marks = {
        role: f"{address}{' (there)' if role in value['present'] else ''}"
        for role, address in value["addresses"].items()
    }
    print_fields(marks, title="contracts")
