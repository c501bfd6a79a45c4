"""Deployment: bring the ReplicaSet of the newest template up while older ones go down; keep those for rollback.

``limits``      how many pods there may be and must be
``revisions``   which ReplicaSet is which: template hash, revision numbers, annotations, history
``scaling``     how many replicas each ReplicaSet gets
``conditions``  what the status says
``decide``      all of it as one pure function
"""
