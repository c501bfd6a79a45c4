"""Namespaces: deleting one deletes everything in it first."""
