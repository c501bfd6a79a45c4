"""ReplicaSet: keep the asked number of pods of one template."""
