"""StatefulSet: pods with lasting names, one after the other, each with claims of its own.

``identity`` is what makes a pod the n-th, ``claims`` what becomes of its storage, ``rolling`` who is replaced next.
"""
