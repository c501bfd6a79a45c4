"""``create`` (from manifests, or one object from options), ``run`` and ``expose``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import grpc
import grpc.aio

from knarr_api import grpc_status, json, kinds
from knarr_api.errors import Invalid
from knarr_cli import completing, generators, jobs, manifests, output, sending
from knarr_cli.cells import at
from knarr_cli.generators import Document
from knarr_cli.manifests import Manifest, Refused
from knarr_cli.options import (
    dry_run_option,
    files_option,
    form_option,
    manager_option,
    recursive_option,
    validate_option,
)
from knarr_cli.sending import VALIDATIONS
from knarr_cli.session import namespace_option, seconds, session, targets
from knarr_cli.verb import Verb, VerbGroup, global_options, switched
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc

F = TypeVar("F", bound=Callable[..., Any])
RESTARTS = click.Choice(["Always", "OnFailure", "Never"])


class CreateGroup(VerbGroup):
    """``create -f``, or ``create KIND NAME``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params = [*self.params, *global_options(hidden=True)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, switched(self.params, args))


@click.group(
    "create",
    cls=CreateGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  knarr create -f pod.yaml
  knarr create namespace shop
  knarr create deployment web --image shop:1 --replicas 3
  knarr create job now --from=cronjob/nightly
  knarr create configmap settings --from-literal colour=blue --from-file conf.d
  knarr create token default --duration 1h""",
)
@files_option
@recursive_option
@namespace_option
@dry_run_option
@validate_option
@manager_option("knarr-create")
@form_option
@click.pass_context
def create_group(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    dry_run: str,
    validate: str,
    manager: str,
    form: str,
) -> None:
    """Create objects from manifests, or one from options; fails for those that exist."""
    if ctx.invoked_subcommand is not None:
        if files:
            raise click.UsageError("-f names manifests: it goes without KIND NAME", ctx)
        return
    found = sending.read(ctx, files, recursive=recursive, validate=validate)
    send(ctx, found, namespace, dry_run=dry_run, manager=manager, form=form, validate=validate)


def send(
    ctx: click.Context,
    found: list[Manifest],
    namespace: str,
    *,
    dry_run: str,
    manager: str,
    form: str,
    validate: str = "strict",
    word: str = "created",
) -> None:
    """Create all of them."""

    async def one(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        if dry_run == "client":
            return word, Answer(object=manifest.document)
        return word, await client.raw.create(
            manifest.document,
            namespace=space,
            field_manager=manager,
            validation=VALIDATIONS[validate],
            dry_run=dry_run == "server",
        )

    sending.send(ctx, found, namespace, one, dry_run=dry_run, form=form)


def _common(function: F) -> F:
    """Options of everything that makes one object."""
    for option in (form_option, manager_option("knarr-create"), dry_run_option, namespace_option):
        function = option(function)
    return function


def _one(ctx: click.Context, made: Document, namespace: str, dry_run: str, manager: str, form: str) -> None:
    kind = kinds.by_kind(made["apiVersion"], made["kind"])
    send(ctx, [Manifest(kind, made, "")], namespace, dry_run=dry_run, manager=manager, form=form)


def _maker(
    name: str, summary: str, example: str, *options: Callable[[Any], Any], aliases: str = ""
) -> Callable[[Callable[..., Document]], Callable[..., Document]]:
    """A subcommand for a kind, from a function that makes its document of the options.

    aliases: other names of it, separated by blanks.
    """

    def decorate(make: Callable[..., Document]) -> Callable[..., Document]:
        def callback(
            ctx: click.Context, /, namespace: str, dry_run: str, manager: str, form: str, **given: Any
        ) -> None:
            _one(ctx, make(**given), namespace, dry_run, manager, form)

        function: Any = _common(click.pass_context(callback))
        for option in reversed(options):
            function = option(function)
        for each in (name, *aliases.split()):
            shown = example.replace(f"knarr create {name} ", f"knarr create {each} ")
            command = click.command(
                each, cls=Verb, help=summary, epilog=f"\b\nExamples:\n  {shown}", hidden=each != name
            )(function)
            create_group.add_command(command)
            function.__click_params__ = list(command.params)[: -len(global_options(hidden=True))][::-1]
        return make

    return decorate


NAME = click.argument("name")
COMMAND = click.argument("command", nargs=-1)
IMAGE = click.option("--image", required=True, help="Which image the container runs.")


@_maker("namespace", "Create a namespace.", "knarr create namespace shop", NAME, aliases="ns")
def _namespace(name: str) -> Document:
    return generators.document("v1", "Namespace", name)


@_maker(
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
def _deployment(
    name: str, command: tuple[str, ...], images: tuple[str, ...], replicas: int, port: int | None
) -> Document:
    return generators.deployment(name, images, replicas=replicas, port=port, command=list(command))


@_maker(
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
def _cron_job(name: str, command: tuple[str, ...], image: str, schedule: str, restart: str) -> Document:
    return generators.cron_job(name, image, schedule, list(command), restart)


@_maker(
    "configmap",
    "Create a config map from literals, files and directories.",
    "knarr create configmap settings --from-literal colour=blue --from-file conf.d",
    NAME,
    click.option("--from-literal", "literals", multiple=True, metavar="KEY=VALUE", help="One entry."),
    click.option("--from-file", "files", multiple=True, metavar="[KEY=]PATH", help="A file, or all of a directory."),
    click.option("--from-env-file", "env_files", multiple=True, metavar="PATH", help="A file of lines KEY=VALUE."),
    aliases="cm",
)
def _config_map(name: str, literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...]) -> Document:
    return generators.config_map(name, generators.contents(literals, files, env_files))


@_maker("serviceaccount", "Create a service account.", "knarr create serviceaccount robot", NAME, aliases="sa")
def _service_account(name: str) -> Document:
    return generators.document("v1", "ServiceAccount", name)


@_maker(
    "quota",
    "Create a resource quota.",
    "knarr create quota small --hard=cpu=2,memory=4Gi,pods=10 --scopes=NotTerminating",
    NAME,
    click.option("--hard", multiple=True, metavar="NAME=QUANTITY,…", help="What there may be at most."),
    click.option("--scopes", default="", metavar="SCOPE,…", help="Which pods count."),
    aliases="resourcequota",
)
def _quota(name: str, hard: tuple[str, ...], scopes: str) -> Document:
    return generators.quota(name, hard, scopes)


@_maker(
    "poddisruptionbudget",
    "Create a pod disruption budget.",
    "knarr create poddisruptionbudget web --selector=app=web --min-available=2",
    NAME,
    click.option("--selector", default="", metavar="KEY=VALUE,…", help="Which pods."),
    click.option("--min-available", "least", default="", metavar="N|N%", help="How many must stay."),
    click.option("--max-unavailable", "most", default="", metavar="N|N%", help="How many may go."),
    aliases="pdb",
)
def _budget(name: str, selector: str, least: str, most: str) -> Document:
    return generators.disruption_budget(name, selector, least, most)


@_maker(
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
def _priority_class(name: str, value: int, is_default: bool, description: str, preemption: str) -> Document:
    return generators.priority_class(name, value, is_default=is_default, description=description, preemption=preemption)


@create_group.command("job", epilog="\b\nExamples:\n  knarr create job now --from=cronjob/nightly")
@click.argument("name")
@click.argument("command", nargs=-1)
@click.option("--image", default="", help="Which image the container runs.")
@click.option("--from", "source", default="", metavar="cronjob/NAME", help="As this CronJob would make it, now.")
@_common
@click.pass_context
def job_command(
    ctx: click.Context,
    name: str,
    command: tuple[str, ...],
    image: str,
    source: str,
    namespace: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Create a job of an image, or as a CronJob would."""
    if bool(image) == bool(source):
        raise Invalid("either --image or --from must be specified")
    if source and command:
        raise Invalid("cannot specify --from and command")
    made = _job_from(ctx, name, source, namespace) if source else generators.job(name, image, list(command))
    _one(ctx, made, namespace, dry_run, manager, form)


def _job_from(ctx: click.Context, name: str, source: str, namespace: str) -> Document:
    """A Job as the named CronJob would make it."""
    own = session(ctx)
    ((kind, cron_name),) = targets((source,))
    if kind.kind != "CronJob" or not cron_name:
        raise Invalid(f'--from="{source}": must be cronjob/NAME')

    async def read(client: GrpcClient) -> Mapping[str, Any]:
        return await client.raw.get(kind, cron_name, own.namespace(namespace))

    return jobs.from_cron_job(own.run(read), name)


# Groups of subcommands


@create_group.group("secret", cls=VerbGroup)
def secret_group() -> None:
    """Create a secret: generic, tls or docker-registry."""


@secret_group.command("generic", epilog="\b\nExamples:\n  knarr create secret generic db --from-literal password=x")
@click.argument("name")
@click.option("--from-literal", "literals", multiple=True, metavar="KEY=VALUE", help="One entry.")
@click.option("--from-file", "files", multiple=True, metavar="[KEY=]PATH", help="A file, or all of a directory.")
@click.option("--from-env-file", "env_files", multiple=True, metavar="PATH", help="A file of lines KEY=VALUE.")
@click.option("--type", "type_", default="", help="[default: Opaque]")
@_common
@click.pass_context
def generic_command(
    ctx: click.Context,
    name: str,
    literals: tuple[str, ...],
    files: tuple[str, ...],
    env_files: tuple[str, ...],
    type_: str,
    namespace: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """From literals, files and directories."""
    made = generators.secret(name, generators.contents(literals, files, env_files), type_)
    _one(ctx, made, namespace, dry_run, manager, form)


@secret_group.command("tls", epilog="\b\nExamples:\n  knarr create secret tls web --cert web.crt --key web.key")
@click.argument("name")
@click.option("--cert", required=True, metavar="PATH", help="The certificate, as PEM.")
@click.option("--key", required=True, metavar="PATH", help="Its private key, as PEM.")
@_common
@click.pass_context
def tls_command(
    ctx: click.Context, name: str, cert: str, key: str, namespace: str, dry_run: str, manager: str, form: str
) -> None:
    """From a certificate and its key."""
    _one(ctx, generators.tls_secret(name, cert, key), namespace, dry_run, manager, form)


@secret_group.command(
    "docker-registry",
    epilog="\b\nExamples:\n  knarr create secret docker-registry pull --docker-server r.example --docker-username me",
)
@click.argument("name")
@click.option("--docker-server", "server", default="https://index.docker.io/v1/", show_default=True, help="Which.")
@click.option("--docker-username", "user", required=True, help="Who.")
@click.option("--docker-password", "password", required=True, help="The password.")
@click.option("--docker-email", "email", default="", help="Of the user.")
@_common
@click.pass_context
def registry_command(
    ctx: click.Context,
    name: str,
    server: str,
    user: str,
    password: str,
    email: str,
    namespace: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """To pull images with."""
    _one(ctx, generators.registry_secret(name, server, user, password, email), namespace, dry_run, manager, form)


@create_group.group("service", cls=VerbGroup)
def service_group() -> None:
    """Create a service: clusterip, nodeport, loadbalancer or externalname."""


def _service_command(word: str, type_: str) -> None:
    @service_group.command(word, epilog=f"\b\nExamples:\n  knarr create service {word} web --tcp=80:8080")
    @click.argument("name")
    @click.option("--tcp", multiple=True, metavar="PORT[:TARGET]", help="A port, and the pods' port.")
    @click.option("--clusterip", "cluster_ip", default="", help="An address, or None.")
    @click.option("--external-name", default="", help="Of externalname: what it stands for.")
    @_common
    @click.pass_context
    def command(
        ctx: click.Context,
        name: str,
        tcp: tuple[str, ...],
        cluster_ip: str,
        external_name: str,
        namespace: str,
        dry_run: str,
        manager: str,
        form: str,
    ) -> None:
        made = generators.service(name, type_, tcp, cluster_ip=cluster_ip, external_name=external_name)
        _one(ctx, made, namespace, dry_run, manager, form)

    command.help = f"A service of type {type_} for the pods with the label app=NAME."


for _word, _type in (
    ("clusterip", "ClusterIP"),
    ("nodeport", "NodePort"),
    ("loadbalancer", "LoadBalancer"),
    ("externalname", "ExternalName"),
):
    _service_command(_word, _type)


@create_group.command("token", epilog="\b\nExamples:\n  knarr create token robot --duration 1h --audience https://x")
@click.argument("account", metavar="SERVICE_ACCOUNT")
@click.option("--audience", "audiences", multiple=True, help="Who takes it.  [default: the API]")
@click.option("--duration", default="", metavar="DURATION", help="How long it is good.  [default: 1h]")
@click.option("--bound-object-kind", "kind", default="", help="What it ends with: Pod.")
@click.option("--bound-object-name", "name", default="", help="Its name.")
@click.option("--bound-object-uid", "uid", default="", help="Its uid, if that matters.")
@namespace_option
@click.option("-o", "--output", "form", type=click.Choice(["", "json", "yaml"]), default="", help="json or yaml")
@click.pass_context
def token_command(
    ctx: click.Context,
    account: str,
    audiences: tuple[str, ...],
    duration: str,
    kind: str,
    name: str,
    uid: str,
    namespace: str,
    form: str,
) -> None:
    """Print a new token of a service account."""
    if bool(kind) != bool(name):
        option = "--bound-object-name" if kind else "--bound-object-kind"
        raise Invalid(f"{option} is required if the other is provided")
    if uid and not kind:
        raise Invalid("--bound-object-uid can only be set if --bound-object-kind is provided")
    spec: Document = {}
    if audiences:
        spec["audiences"] = list(audiences)
    if duration:
        lasts_s = seconds(duration)
        if lasts_s <= 0 or lasts_s != int(lasts_s):
            raise Invalid("--duration must be greater than 0 and whole seconds")
        spec["expirationSeconds"] = int(lasts_s)
    if kind:
        reference = {"kind": kind, "apiVersion": "v1", "name": name, **({"uid": uid} if uid else {})}
        spec["boundObjectRef"] = reference
    own = session(ctx)

    async def work(client: GrpcClient) -> Document:
        request = accounts_pb2.AccountTokenRequest(
            namespace=own.namespace(namespace), name=account, request_json=json.encode({"spec": spec})
        )
        stub: Any = accounts_pb2_grpc.AccountsStub(client.channel)
        try:
            answer = await stub.CreateToken(request, timeout=30.0)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        made = json.load(answer.request_json)
        assert isinstance(made, dict)
        return made

    made = own.run(work)
    if form:
        output.document(form, made)
    else:
        output.write(at(made, "status.token"))


# run and expose


@click.command(
    cls=Verb,
    name="run",
    epilog="""\b
Examples:
  knarr run web --image shop:1 --port 80
  knarr run web --image shop:1 --env COLOUR=blue --labels app=web,tier=front
  knarr run once --image shop:1 --restart=Never -- report --all
  knarr run once --image shop:1 --command -- /bin/report
  knarr run web --image shop:1 --dry-run=client -o yaml""",
)
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[-- ARGUMENTS…]")
@click.option("--image", required=True, help="Which image the container runs.")
@click.option("--command", "as_command", is_flag=True, help="What follows -- is the command, not its arguments.")
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A variable.")
@click.option("-l", "--labels", default="", metavar="KEY=VALUE,…", help="[default: run=NAME]")
@click.option("--annotations", multiple=True, metavar="KEY=VALUE", help="Of the pod.")
@click.option("--port", type=click.IntRange(1, 65535), help="That the container listens on.")
@click.option("--restart", type=RESTARTS, default="Always", show_default=True, help="When it starts again.")
@click.option("--image-pull-policy", "pull_policy", default="", help="Always, IfNotPresent or Never.")
@click.option("--privileged", is_flag=True, help="With all the rights of the node.")
@click.option("--expose", is_flag=True, help="Make a service for it too; needs --port.")
@click.option("--overrides", default="", metavar="JSON", help="Changes of the pod, as a merge patch.")
@namespace_option
@dry_run_option
@manager_option("knarr-run")
@form_option
@click.pass_context
def run_command(
    ctx: click.Context,
    name: str,
    words: tuple[str, ...],
    image: str,
    as_command: bool,
    environment: tuple[str, ...],
    labels: str,
    annotations: tuple[str, ...],
    port: int | None,
    restart: str,
    pull_policy: str,
    privileged: bool,
    expose: bool,
    overrides: str,
    namespace: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Run one pod of an image."""
    if expose and port is None:
        raise Invalid("--port must be set when exposing a service")
    made = generators.pod(
        name,
        image,
        list(words),
        as_command=as_command,
        environment=environment,
        labels=generators.pairs((labels,), "--labels"),
        annotations=dict(word.split("=", 1) for word in annotations if "=" in word),
        port=port,
        restart=restart,
        pull_policy=pull_policy,
        privileged=privileged,
    )
    if overrides:
        try:
            made = _merged(made, manifests.read_value(overrides, "--overrides"))
        except Refused as error:
            raise Invalid(f"invalid JSON: {error}") from error
    found = [Manifest(kinds.by_kind("v1", "Pod"), made, "")]
    if expose:
        service = generators.exposing(
            made, name=name, port=port, target_port="", protocol="", type_="", selector="", cluster_ip=""
        )
        found.insert(0, Manifest(kinds.by_kind("v1", "Service"), service, ""))
    send(ctx, found, namespace, dry_run=dry_run, manager=manager, form=form)


def _merged(base: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    merged = {**base, **{name: _merged(base.get(name), value) for name, value in change.items()}}
    return {name: value for name, value in merged.items() if value is not None}


@click.command(
    cls=Verb,
    name="expose",
    epilog="""\b
Examples:
  knarr expose deployment web --port 80 --target-port 8080
  knarr expose pod web-1 --name first --type NodePort""",
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
)
@click.option("--port", type=click.IntRange(1, 65535), help="Of the service.  [default: the containers']")
@click.option("--target-port", default="", help="Of the pods: a number or a name.  [default: --port]")
@click.option("--protocol", type=click.Choice(["", "TCP", "UDP", "SCTP"]), default="", help="[default: TCP]")
@click.option("--name", default="", help="Of the service.  [default: that of what it exposes]")
@click.option("--type", "type_", default="", help="ClusterIP, NodePort, LoadBalancer.")
@click.option("--selector", default="", metavar="KEY=VALUE,…", help="Which pods.  [default: those of the object]")
@click.option("--cluster-ip", default="", help="An address, or None.")
@namespace_option
@dry_run_option
@manager_option("knarr-expose")
@form_option
@click.pass_context
def expose_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    port: int | None,
    target_port: str,
    protocol: str,
    name: str,
    type_: str,
    selector: str,
    cluster_ip: str,
    namespace: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Make a service for the pods of an object."""
    own = session(ctx)
    space = own.namespace(namespace)
    wanted = targets(resources)
    if len(wanted) != 1 or not wanted[0][1]:
        raise Invalid("name one object: KIND NAME or KIND/NAME")
    ((kind, target),) = wanted

    async def read(client: GrpcClient) -> Mapping[str, Any]:
        return await client.raw.get(kind, target, space)

    made = generators.exposing(
        own.run(read),
        name=name,
        port=port,
        target_port=target_port,
        protocol=protocol,
        type_=type_,
        selector=selector,
        cluster_ip=cluster_ip,
    )
    found = [Manifest(kinds.by_kind("v1", "Service"), made, "")]
    send(ctx, found, namespace, dry_run=dry_run, manager=manager, form=form, word="exposed")


commands: tuple[click.Command, ...] = (create_group, run_command, expose_command)
