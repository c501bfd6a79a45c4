"""Pods seen from outside their node: what state they are in, and removing those that nobody else will."""
