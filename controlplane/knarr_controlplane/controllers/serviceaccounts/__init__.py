"""What each namespace has for its pods' identities: the account ``default``, and the cluster's CA."""
