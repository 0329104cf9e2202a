"""gitcd: a GitOps reconciler for container image versions."""

__version__ = "0.1.0"
