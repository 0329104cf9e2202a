"""Manifests of small workloads, as plain objects."""

from __future__ import annotations

from typing import Any

IMAGE = "registry.example.com/team/app"


def deployment(name: str, tag: str, *, replicas: int = 1, labels: dict[str, str] | None = None) -> dict[str, Any]:
    pods = {"app": name, **(labels or {})}
    spec = {"replicas": replicas, "selector": {"matchLabels": pods}, "template": template(pods, tag)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": pods}, "spec": spec}


def stateful_set(name: str, tag: str, *, replicas: int = 1) -> dict[str, Any]:
    pods = {"app": name}
    spec = {
        "serviceName": name,
        "replicas": replicas,
        "selector": {"matchLabels": pods},
        "template": template(pods, tag),
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "labels": pods}, "spec": spec}


def daemon_set(name: str, tag: str) -> dict[str, Any]:
    pods = {"app": name}
    spec = {"selector": {"matchLabels": pods}, "template": template(pods, tag)}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "labels": pods}, "spec": spec}


def job(name: str, tag: str, **spec: Any) -> dict[str, Any]:
    pod = template({"app": name}, tag)
    pod["spec"]["restartPolicy"] = "Never"
    spec = {"backoffLimit": 0, "template": pod, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    spec = {"selector": selector, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def template(labels: dict[str, str], tag: str) -> dict[str, Any]:
    containers = [{"name": "app", "image": f"{IMAGE}:{tag}"}]
    return {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": containers}}


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, str, str], Any]:
    """Objects by kind, namespace and name."""
    return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in found}
