"""Whether a repository lets a tag move: its setting and the filters that make exceptions."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutability:
    """A repository's setting and its exclusion filters, as ECR names them.

    Source: `ImageTagMutability` and `ImageTagMutabilityExclusionFilter` of the Amazon ECR API reference. A filter is a
    tag in which `*` stands for any characters; tags that match one are treated in the opposite way.
    """

    setting: str
    filters: tuple[str, ...] = ()

    def lets_move(self, tag: str) -> bool:
        excluded = any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), tag) for each in self.filters)
        return self.setting.startswith("MUTABLE") is not (self.setting.endswith("_WITH_EXCLUSION") and excluded)

    def __str__(self) -> str:
        return f"{self.setting} ({', '.join(self.filters)})" if self.filters else self.setting
