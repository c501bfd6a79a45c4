"""The Container Runtime Interface over the launcher, the image store and the network.

``runtime_service``, ``image_service``: messages in and out; ``calls``: errors as status; ``fields``: what is refused.
``pods``: the verbs, and what a sandbox and its containers are here and, by ``records``, on disk. ``specs``,
``security``, ``host_files``: from CRI's configurations to what the launcher is told. ``status``, ``inspect``,
``filters``: what is told of them; ``stats``, ``metrics``, ``disk``: what they use. ``streams``: exec, attach and
port-forward. ``containers_service``: what people at a terminal need beside CRI.
"""
