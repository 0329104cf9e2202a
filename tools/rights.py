"""Print what apply may do with which kind, for the Helm chart: `make deploy` keeps it there."""

from __future__ import annotations

import json

from gitcd.usecases.install_rights import table

print(json.dumps(table(), indent=1))
