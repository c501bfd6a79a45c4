"""The node agent: keeps the pods that were given to its node running, and reports on them.

It dials out only and goes on working while the control plane is away.

=====================================  =============================================================================
``main``, ``settings``, ``credentials``  the process: wiring, flags, joining and renewing
``stream``                             the one connection upwards: heartbeats, statuses, sessions
``assignments``                        what it should run, with the copy on disk
``podmachine``                         the pure decisions: a transition table, the plan, the report
``pods``                               the loop that observes, decides, carries out and reports
``starting``, ``stopping``, ``hooks``  what it takes to start and to end a container
``images``, ``probes``                 having an image; asking a container how it is
``configs``, ``environment``           from a pod's specification to CRI, pure
``volumes``, ``pod_files``, ``kernel``  what containers find mounted
``logs``, ``log_sessions``, ``log_rotation``  reading, serving and bounding logs
``node_network``, ``overlay``, ``rtnetlink``  addresses of pods, and the way to other nodes
``machine``                            the node's own capacity and conditions
``runtime``, ``memory_cri``            the container runtime over CRI, and one in memory for tests
=====================================  =============================================================================
"""
