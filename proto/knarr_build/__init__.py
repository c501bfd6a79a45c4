"""What both ends of an image build need: ignore patterns, the context as a tar, and a small client of service Builds.

Imports nothing of Knarr but :mod:`knarr_proto`, so that the cluster's and the runtime's commands can share it.
"""
