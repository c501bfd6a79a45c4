"""Building images from Dockerfiles: parse, plan, execute step by step, keep what was made in a cache.

Pure: :mod:`lines`, :mod:`words`, :mod:`dockerfile`, :mod:`stages`, :mod:`imageconfig`. The rest touches files, runs
containers through the launcher or talks gRPC (:mod:`service`). Never executes anything in the daemon, and resolves no
path of a context or an image outside of its root.
"""
