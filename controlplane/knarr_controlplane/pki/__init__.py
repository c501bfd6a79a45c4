"""Who is who: the cluster's certificate authority, join tokens, kubeconfig files and the identity of a caller.

Everything is below ``D/pki``: directories 0700, keys 0600. The authority is made on first start.
"""
