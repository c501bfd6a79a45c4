"""``autoscale``: makes a HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity
from knarr_cli import output
from knarr_cli.options import Manner, manner_options
from knarr_cli.selecting import Choice, Target, choice_options, resources_argument
from knarr_cli.session import session, shown, warn
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer


@click.command(
    cls=Verb,
    name="autoscale",
    epilog="""\b
Examples:
  knarr autoscale deployment web --min 2 --max 10 --cpu-percent 80
  knarr autoscale deployment/web --max 5 --cpu 500m --memory 60%
  knarr autoscale deployment/web --max 5 --name busy --dry-run=client -o yaml""",
)
@resources_argument(required=True)
@choice_options("namespace")
@click.option("--min", "least", type=click.IntRange(min=1), default=1, show_default=True, help="Fewest replicas.")
@click.option("--max", "most", type=click.IntRange(min=1), required=True, help="Most replicas.")
@click.option("--cpu-percent", type=click.IntRange(min=1), help="Of the requests, on average over all pods.")
@click.option("--cpu", default="", metavar="PERCENT%|QUANTITY", help="Of the requests, or absolute: 80%, 500m.")
@click.option("--memory", default="", metavar="PERCENT%|QUANTITY", help="Of the requests, or absolute: 60%, 200Mi.")
@click.option("--name", default="", help="Of the autoscaler.  [default: that of what it scales]")
@manner_options("knarr-autoscale")
@click.pass_context
def autoscale_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    least: int,
    most: int,
    cpu_percent: int | None,
    cpu: str,
    memory: str,
    name: str,
    manner: Manner,
) -> None:
    """Make an autoscaler, which sets the number of replicas by their load."""
    if most < least:
        raise Invalid(f"--max={most} must be larger or equal to --min={least}")
    if cpu_percent is not None and cpu:
        raise Invalid("--cpu-percent and --cpu say the same: give one of them")
    metrics = [usage("cpu", f"{cpu_percent}%" if cpu_percent is not None else cpu), usage("memory", memory)]
    own = session(ctx)
    kind = kinds.by_kind("autoscaling/v2", "HorizontalPodAutoscaler")

    async def work(client: GrpcClient) -> None:
        for target in await choice.of(resources).targets(client, own):
            # Reading the scale says whether it is there, and can be scaled.
            await client.raw.get(target.kind, target.name, target.namespace, subresource="scale")
            document = autoscaler(target, name or target.name, least, most, [each for each in metrics if each])
            answer = Answer(object=document)
            if not manner.only_said:
                answer = await client.raw.create(
                    document, namespace=target.namespace, field_manager=manner.manager, dry_run=manner.tried
                )
            warn(answer.warnings)
            if manner.form:
                output.document(manner.form, answer.object, kind)
            else:
                output.write(f"{shown(kind, name or target.name)} autoscaled{manner.mark}")

    own.run(work)


def usage(resource: str, text: str) -> dict[str, Any]:
    """A metric for ``80%`` of what is requested, or for an amount; nothing for no text. Raises Invalid."""
    if not text:
        return {}
    percent = text.removesuffix("%")
    if text.endswith("%") and percent.isdecimal() and int(percent) > 0:
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(percent)}
    elif not text.endswith("%"):
        target = {"type": "AverageValue", "averageValue": str(Quantity(text))}
    else:
        raise Invalid(f'--{resource}="{text}": must be like 80% or an amount')
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def autoscaler(target: Target, name: str, least: int, most: int, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """The document. Pure."""
    reference = {"apiVersion": target.kind.api_version, "kind": target.kind.kind, "name": target.name}
    spec: dict[str, Any] = {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most}
    if metrics:
        spec["metrics"] = metrics
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": target.namespace},
        "spec": spec,
    }


commands: tuple[click.Command, ...] = (autoscale_command,)
