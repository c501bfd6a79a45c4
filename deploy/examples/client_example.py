"""A program that uses the Knarr API: makes a ConfigMap, then tells what happens to the pods of its namespace.

export KUBECONFIG=…/admin.kubeconfig      # what `knarr up` printed
python deploy/examples/client_example.py --namespace default --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import kubeconfig
from knarr_client.grpc import GrpcClient
from knarr_client.informer import Change, Informer


def tell(change: Change[Pod]) -> None:
    """Called for every pod there is, and for every change from then on."""
    pod = change.newest
    what = "appeared" if change.old is None else "is gone" if change.new is None else "changed"
    print(
        f"pod {pod.metadata.name} {what}: {pod.status.phase or '?'} on {pod.spec.node_name or 'no node yet'}",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default="", help="default: $KUBECONFIG, else ~/.kube/config")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to follow the pods")
    options = parser.parse_args()

    access = kubeconfig.load(kubeconfig.find(options.kubeconfig))
    async with GrpcClient.connect(access, on_warning=print) as client:
        greeting = ConfigMap(
            metadata=ObjectMeta(name="greeting", namespace=options.namespace), data={"text": "hello from a program"}
        )
        try:
            made = await client.create(greeting)
        except errors.AlreadyExists:
            made = (await client.apply(greeting)).object
        print(f"configmap {made.metadata.name} is at revision {made.metadata.resource_version}", flush=True)

        pods = Informer(client, Pod, options.namespace)
        pods.add_handler(tell)
        try:
            async with asyncio.timeout(options.seconds):
                await pods.run()
        except TimeoutError:
            print(f"{len(pods)} pods in {options.namespace}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except errors.KnarrError as error:
        raise SystemExit(f"error: {error}") from None
