from tests.support.gitea import gitea, repository  # noqa: F401 - fixtures
