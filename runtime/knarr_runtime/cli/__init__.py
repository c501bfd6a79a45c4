"""``knarr-runtime``'s verbs for people who want containers without a cluster; named and behaving as Docker's are.

Clients of the daemon's socket only: they speak CRI, and Knarr's own services where CRI has no word for it.
"""
