"""Containers on their own, for people at a terminal: what Docker has and CRI has no word for.

A container of ``run`` is a pod of its own with one container. This package adds to CRI's verbs: starting it once more,
restart policies, volumes, copying files, pausing, renaming. Nothing here is for kubelets.
"""
