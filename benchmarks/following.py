"""One repository with many tags, of which a declaration follows the highest version in a range.

python -m benchmarks.following serve   the stand-in for ECR; see `benchmarks.standin` for what it prints
python -m benchmarks.following bare URL   the baseline: a bare boto3 script that lists the pages and compares numbers
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

TAGS = 10_000
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REPOSITORY = "team/app"
_START = datetime(2026, 1, 1, tzinfo=UTC)


def declare(folder: Path) -> None:
    """Write a declaration and its Deployment."""
    (folder / "app.yaml").write_text(f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: app, namespace: team}}
spec: {{imageRepo: {HOST}/{REPOSITORY}, follow: {{semver: '>=1.2 <2'}}, selector: {{app: app}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app, labels: {{app: app}}}}
spec: {{template: {{spec: {{containers: [{{name: main, image: '{HOST}/{REPOSITORY}:1.7.0'}}]}}}}}}
""")


def serve() -> None:
    from tests.support.ecr import OCI_MANIFEST, StandIn, StoredImage, sha256

    with StandIn() as ecr:
        repository = ecr.create(REPOSITORY)
        for number in range(TAGS):
            tag = f"{1 + number % 2}.{number // 2}.0"
            digest = sha256(tag.encode())
            pushed = _START + timedelta(minutes=number)
            repository.images[digest] = StoredImage(digest, "{}", OCI_MANIFEST, pushed, tags={tag})
            repository.tags[tag] = digest
        print(ecr.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(ecr.counted()), flush=True)
            ecr.calls.clear()


def bare(url: str) -> None:
    import boto3

    client = boto3.client("ecr", endpoint_url=url, region_name="us-east-1")
    pages = client.get_paginator("describe_images").paginate(
        repositoryName=REPOSITORY, filter={"tagStatus": "TAGGED"}, PaginationConfig={"PageSize": 1000}
    )
    versions = [
        (tuple(map(int, tag.split("."))), detail["imageDigest"])
        for page in pages
        for detail in page["imageDetails"]
        for tag in detail["imageTags"]
    ]
    print(max(each for each in versions if (1, 2, 0) <= each[0] < (2, 0, 0)))


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else bare(sys.argv[2])
