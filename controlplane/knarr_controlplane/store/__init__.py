"""Where desired state is kept: a small Protocol with etcd's semantics and three implementations of it.

``protocol`` says what a store promises; ``etcd`` and ``sqlite`` keep it on disk, ``memory`` in a dictionary for tests.
``group_commit`` merges concurrent writes; ``revision`` is the arithmetic of resource versions; ``opening`` makes a
store from what a user asked for. One suite, ``tests/conformance/store``, runs on all of them.
"""
