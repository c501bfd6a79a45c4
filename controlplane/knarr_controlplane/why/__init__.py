"""Why a pod, or what makes pods, is as it is: findings for one screen. Deciding what to say is pure."""
