"""The baseline of resolving: a bare boto3 script, 16 threads, one DescribeImages for each repository."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

from benchmarks.fleet import App, Fleet


def main() -> None:
    url, apps, behind = sys.argv[1], *map(int, sys.argv[2:])
    client = boto3.client("ecr", endpoint_url=url, region_name="us-east-1", config=Config(max_pool_connections=16))

    def ask(app: App) -> str:
        ids = [{"imageTag": app.tag}, {"imageDigest": app.digest(0)}]
        answer = client.describe_images(registryId="123456789012", repositoryName=app.repository, imageIds=ids)
        return f"{app.image_repo} {answer['imageDetails'][0]['imageDigest']}\n"

    with ThreadPoolExecutor(16) as pool:
        sys.stdout.write("".join(pool.map(ask, Fleet(apps, behind))))


if __name__ == "__main__":
    main()
