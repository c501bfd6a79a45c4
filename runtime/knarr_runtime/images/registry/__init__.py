"""A client of OCI registries: pull and push. Blocking; one call uses a few threads of its own.

Nothing a registry says is believed: sizes and digests are checked before anything is used, redirects are limited and
get no credentials, plain HTTP is spoken to loopback and to registries named by the administrator only.
Source: OCI distribution specification; Docker's token authentication.
"""
