"""HorizontalPodAutoscalers: as many replicas as their metrics ask for.

``replicas`` computes what one metric proposes, ``behaviour`` how fast that may be followed, ``decide`` puts it
together.
"""
