"""Pods that nobody else would remove: ``decide`` says which, the controller removes them."""
