"""A whole cluster in one process on a virtual clock, with seeded faults; invariants are checked at every write.

``plan`` makes of a seed what users do (``workloads``, ``pressure``, ``load``) and what breaks; ``loop`` and ``faults``
are the machine and the network that it runs on; ``cluster`` and ``machine`` wire the real control planes and agents to
them, ``users`` act, ``watchers`` compare, ``invariants`` watch (with ``promises``, ``rights``, ``claims``); ``run`` is
the command, ``shrink`` makes a plan that fails as small as it gets.

The same seed gives the same run to the last write: nothing takes time or chance from anywhere but the loop and the
seed, and the interpreter's hashes are fixed (``PYTHONHASHSEED``, see ``run``).
"""
