"""Recounts what the quotas of namespaces have used."""
