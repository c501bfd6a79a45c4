"""The Container Runtime Interface over the launcher, the image store and the network.

``pods``: what a sandbox and its containers are here and on disk, and the verbs; ``specs``: from CRI's configurations to
the launcher's specs, pure; ``runtime_service`` and ``image_service``: messages in and out; ``calls``: errors as status.
"""
