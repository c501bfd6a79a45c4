"""The API in memory: a small one that keeps the real one's promises, for tests and simulations.

``MemoryApi`` is the server: objects, revisions, history. Any number of ``MemoryClient`` talk to it; each can be
cut off alone (``connected = False``). Nothing here waits, so a call takes no time.

Kept: resourceVersion, uid, generation, generateName, creationTimestamp; conflicts; the status apart from the rest;
writes that change nothing leave no trace; watches that resume, know selectors, and expire after ``compact``; deletion
with finalizers, grace periods of pods that have a node, propagation policies, namespaces that end.

Left out: defaulting and validation (``admit`` may do it), authorisation, the three-way merge of ``apply``.
"""

from knarr_client.memory.api import MemoryApi
from knarr_client.memory.client import MemoryClient

__all__ = ["MemoryApi", "MemoryClient"]
