"""The verbs on objects: what create, update, apply and delete mean, over the store and its cache.

``registry``: the verbs. ``rules``: what a write may change, pure. ``merging``: patches and apply, pure. ``storage``:
how an object becomes a stored value (secrets encrypted). ``local_client``: the verbs as a ``knarr_client.Client``.
"""
