"""Garbage collection: what is owned goes when its owners are gone.

``graph``      who owns whom, in memory
``decide``     what an object's owners mean for it (pure)
``collector``  carries it out
"""
