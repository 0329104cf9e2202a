"""JSON Schema as it is specified, where the library goes by Python's regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend


def _pattern(_validator: Any, wanted: str, instance: object, _schema: Any) -> Iterator[ValidationError]:
    """As ECMAScript has it: `$` is the very end, while Python also takes it before a final newline."""
    if isinstance(instance, str) and not re.search(wanted.removesuffix("$") + r"\Z", instance):
        yield ValidationError(f"{instance!r} does not match {wanted!r}")


Validator = extend(Draft202012Validator, {"pattern": _pattern})
