"""Which Knarr this is, and which Kubernetes API it serves."""

VERSION = "0.1.0"
KUBERNETES_VERSION = "v1.37"
