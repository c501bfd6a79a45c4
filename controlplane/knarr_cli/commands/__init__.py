"""The verbs, a module per group; each has ``commands``."""
