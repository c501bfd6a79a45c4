"""The verbs on objects: what create, update, patch, apply and delete mean, over the store and its cache.

``registry``: the verbs. ``applying``: server-side apply. ``subresources``: scale, eviction, whole collections.
``addressing``: how requests name things. ``local_client``: the verbs as a ``knarr_client.Client``. ``storage``: how an
object becomes a stored value (secrets encrypted).

Pure: ``rules``, what a write may change; ``patching``, with ``merging``, ``json_patch``, ``strategic_patch`` and
``server_side_apply``, what comes of a patch; ``managed_fields``, who owns what; ``pages``, lists; ``scale``;
``eviction``; ``priorities``.
"""
