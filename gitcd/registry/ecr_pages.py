"""Private Amazon ECR, listed: the images that have a tag."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.ecr import Ecr, read_image
from gitcd.registry.route import Target, find_target

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_PAGE = 1000  # the most that DescribeImages gives at once


class EcrPages(Ecr):
    """A registry whose images can be listed, in its own order."""

    def images_from(self, repository: Repository, token: str) -> tuple[list[Image | Failure], str] | Failure:
        """One page, and the token of the next one, which is empty at the end.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        target = find_target(repository, self._settings)
        return target if isinstance(target, Failure) else self._run(target, partial(self._page, target, token))

    def _page(self, target: Target, token: str, client: ECRClient) -> tuple[list[Image | Failure], str]:
        more = {"nextToken": token} if token else {}
        answer = self._request(
            client.describe_images, "imageDetails", target,
            repositoryName=target.repository.path, filter={"tagStatus": "TAGGED"}, maxResults=_PAGE, **more,
        )  # fmt: skip
        images = [read_image(detail, target) for detail in answer["imageDetails"]]
        return images, str(answer.get("nextToken") or "")
