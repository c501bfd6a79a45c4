"""Pods' addresses and links on this node: a bridge, a veth pair per pod, addresses from the node's CIDR."""
