"""DaemonSet: one pod on every node that is fit for it.

``placing`` says which nodes are, ``rolling`` in which order pods of an old template are replaced.
"""
