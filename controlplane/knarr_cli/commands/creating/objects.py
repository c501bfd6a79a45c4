"""Objects that a few options make: ``create namespace``, ``create deployment`` and so on."""

from __future__ import annotations

import click

from knarr_cli import generators
from knarr_cli.commands.creating.making import COMMAND, CONTENTS, IMAGE, NAME, RESTARTS, maker
from knarr_cli.generators import Document


@maker("namespace", "Create a namespace.", "knarr create namespace shop", NAME, aliases="ns")
def namespace(name: str) -> Document:
    return generators.document("v1", "Namespace", name)


@maker(
    "deployment",
    "Create a deployment.",
    "knarr create deployment web --image shop:1 --replicas 3 -- server --port 80",
    NAME,
    COMMAND,
    click.option("--image", "images", multiple=True, required=True, help="Which images; each a container."),
    click.option("-r", "--replicas", type=click.IntRange(min=0), default=1, show_default=True, help="How many pods."),
    click.option("--port", type=click.IntRange(1, 65535), help="That the container listens on."),
    aliases="deploy dep",
)
def deployment(
    name: str, command: tuple[str, ...], images: tuple[str, ...], replicas: int, port: int | None
) -> Document:
    return generators.deployment(name, images, replicas=replicas, port=port, command=list(command))


@maker(
    "cronjob",
    "Create a cron job.",
    "knarr create cronjob nightly --image shop:1 --schedule '0 3 * * *' -- clean",
    NAME,
    COMMAND,
    IMAGE,
    click.option("--schedule", required=True, help="When, as in a crontab."),
    click.option("--restart", type=RESTARTS, default="OnFailure", help="Of the pods' containers."),
    aliases="cj",
)
def cron_job(name: str, command: tuple[str, ...], image: str, schedule: str, restart: str) -> Document:
    return generators.cron_job(name, image, schedule, list(command), restart)


@maker(
    "configmap",
    "Create a config map from literals, files and directories.",
    "knarr create configmap settings --from-literal colour=blue --from-file conf.d",
    NAME,
    *CONTENTS,
    aliases="cm",
)
def config_map(name: str, literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...]) -> Document:
    return generators.config_map(name, generators.contents(literals, files, env_files))


@maker("serviceaccount", "Create a service account.", "knarr create serviceaccount robot", NAME, aliases="sa")
def service_account(name: str) -> Document:
    return generators.document("v1", "ServiceAccount", name)


@maker(
    "quota",
    "Create a resource quota.",
    "knarr create quota small --hard=cpu=2,memory=4Gi,pods=10 --scopes=NotTerminating",
    NAME,
    click.option("--hard", multiple=True, metavar="NAME=QUANTITY,…", help="What there may be at most."),
    click.option("--scopes", default="", metavar="SCOPE,…", help="Which pods count."),
    aliases="resourcequota",
)
def quota(name: str, hard: tuple[str, ...], scopes: str) -> Document:
    return generators.quota(name, hard, scopes)


@maker(
    "poddisruptionbudget",
    "Create a pod disruption budget.",
    "knarr create poddisruptionbudget web --selector=app=web --min-available=2",
    NAME,
    click.option("--selector", default="", metavar="KEY=VALUE,…", help="Which pods."),
    click.option("--min-available", "least", default="", metavar="N|N%", help="How many must stay."),
    click.option("--max-unavailable", "most", default="", metavar="N|N%", help="How many may go."),
    aliases="pdb",
)
def budget(name: str, selector: str, least: str, most: str) -> Document:
    return generators.disruption_budget(name, selector, least, most)


@maker(
    "priorityclass",
    "Create a priority class.",
    "knarr create priorityclass high --value 1000 --description 'customers wait'",
    NAME,
    click.option("--value", type=int, default=0, show_default=True, help="The higher the more important."),
    click.option("--global-default", "is_default", is_flag=True, help="Of pods that name no class."),
    click.option("--description", default="", help="For people."),
    click.option("--preemption-policy", "preemption", default="PreemptLowerPriority", help="Or Never."),
    aliases="pc",
)
def priority_class(name: str, value: int, is_default: bool, description: str, preemption: str) -> Document:
    return generators.priority_class(name, value, is_default=is_default, description=description, preemption=preemption)


commands: tuple[click.Command, ...] = (
    *namespace,
    *deployment,
    *cron_job,
    *config_map,
    *service_account,
    *quota,
    *budget,
    *priority_class,
)
