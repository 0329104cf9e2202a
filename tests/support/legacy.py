"""Documents of cvmanager and kcd about one Deployment, and a registry that answers for it."""

from gitcd.model.registry import Answers, Failure, Image
from tests.support.scenes import HOST, NOW, digest

SHA = "0123456789abcdef0123456789abcdef01234567"
TIP = f"master-{SHA}"

SECOND = f"""\
apiVersion: custom.k8s.io/v1
kind: ContainerVersion
metadata: {{name: tiles, namespace: atlas}}
spec:
  imageRepo: {HOST}/atlas/tiles
  tag: env-prod
  pollIntervalSeconds: 60
  livenessSeconds: 120
  selector:
    cvapp: tiles
  container:
    name: main
"""
FIRST = f"""\
apiVersion: custom.k8s.io/v1
kind: ContainerVersion
metadata: {{name: tiles, namespace: atlas}}
spec:
  imageRepo: {HOST}/atlas/tiles
  tag: env-prod
  checkFrequency: 5
  deployment:
    name: tilesapp
    container: main
"""
KCD = SECOND.replace("kind: ContainerVersion", "kind: KCD").replace("cvapp", "kcdapp")
MODERN = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: tiles, namespace: atlas}}
spec:
  imageRepo: {HOST}/atlas/tiles
  tag: env-prod
  versionSyntax: .*[0-9a-f]{{5,40}}.*
  selector: {{LABEL: tiles}}
"""
APP = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tilesapp
  namespace: atlas
  labels: {{cvapp: tiles, kcdapp: tiles}}
spec:
  template:
    spec:
      containers:
      - name: main
        image: {HOST}/atlas/tiles:old  # the one
"""


def registry(queries):
    image = Image(digest("new"), ("env-prod", TIP), NOW)
    return Answers(
        {
            (query.repository, name): image if name in {"env-prod", image.digest} else Failure("TagNotFound", "gone")
            for query in queries
            for name in query.tags | query.digests
        }
    )
