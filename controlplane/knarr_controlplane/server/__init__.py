"""The gRPC API: one module per service, and ``serving`` that puts them on the network.

Handlers translate: messages to values, errors to status. What a verb means is the registry's.
"""
