"""The node agent: keeps the pods that were given to its node running, and reports on them.

It dials out only. ``stream`` is its one connection upwards, ``assignments`` what it should run, ``podmachine`` the
pure decisions, ``pods`` the loop that carries them out over CRI, ``probes``, ``volumes``, ``environment``, ``logs`` and
``overlay`` what their names say. It goes on working while the control plane is away.
"""
