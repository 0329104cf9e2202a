"""The floor of applying: the same requests by sixteen connections that stay open, and nothing else.

Read from files are the kubeconfig and the bodies; nothing is compared, recorded or checked but the status.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

_QUERY = "fieldManager=bare&force=false&fieldValidation=Ignore"


def main() -> None:
    config, bodies = (json.loads(Path(path).read_text()) for path in sys.argv[1:])
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/apply-patch+yaml"}
    mine = threading.local()

    def send(body: dict[str, dict[str, str]]) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = http.client.HTTPSConnection(urlsplit(cluster["server"]).netloc, context=trust)
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}?{_QUERY}"
        mine.connection.request("PATCH", path, json.dumps(body), headers)
        answer = mine.connection.getresponse()
        data = answer.read()
        if answer.status not in {200, 201}:
            raise SystemExit(f"{name}: {answer.status} {data[:200]!r}")

    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(send, bodies):
            pass


if __name__ == "__main__":
    main()
