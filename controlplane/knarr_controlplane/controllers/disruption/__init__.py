"""PodDisruptionBudgets: how many of their pods may be evicted now.

``decide`` counts, pure; ``controller`` writes the counts into the budgets' status, from which evictions take.
Source: Kubernetes "Disruptions" and "Specifying a Disruption Budget for your Application".
"""
