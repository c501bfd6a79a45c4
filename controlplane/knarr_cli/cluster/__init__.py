"""Clusters of this machine: what ``knarr up``, ``knarr down`` and ``knarr node`` start, watch over and remove.

Every node of a local cluster is a network namespace, a cgroup subtree and a data directory with an agent and a
runtime process of its own. A light supervisor process restarts what dies. Everything made is found again from the
data directory and the cluster's id alone, so that ``knarr down`` works after any crash.

This package starts the planes as programs; it never imports them.
"""
