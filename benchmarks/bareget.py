"""The baseline of `ecr-tags get`: a bare boto3 script that makes the same requests.

python -m benchmarks.bareget URL REPOSITORY TAG [platform]
"""

from __future__ import annotations

import json
import sys

import boto3
import urllib3


def main() -> None:
    url, repository, tag, *more = sys.argv[1:]
    client = boto3.client("ecr", endpoint_url=url, region_name="us-east-1")
    found = client.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"][0]
    print(found)
    if more:
        ids = [{"imageDigest": found["imageDigest"]}]
        manifest = json.loads(
            client.batch_get_image(repositoryName=repository, imageIds=ids)["images"][0]["imageManifest"]
        )
        blob = manifest["config"]["digest"]
        address = client.get_download_url_for_layer(repositoryName=repository, layerDigest=blob)["downloadUrl"]
        configuration = json.loads(urllib3.request("GET", address).data)
        print(f"{configuration['os']}/{configuration['architecture']}")


if __name__ == "__main__":
    main()
