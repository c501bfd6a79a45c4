"""What would happen: the scheduler's own decisions on nodes and manifests that need not exist."""
