"""Nodes: noticing that one is gone, saying so with conditions and taints, moving its pods, giving it an address range.

``health``     does the node still renew its Lease (pure)
``taints``     which taints a node must have (pure)
``eviction``   which pods a taint drives away, and when (pure)
``lifecycle``  carries the three out
``ipam``       pod address ranges
"""
