"""The cluster: its API server, the ContainerVersions it holds, their status and events. Only here is kubernetes used.

Of that package the configuration is used (kubeconfig, contexts, exec plugins, service accounts) and its connection
pool. Requests and answers are plain JSON: its model classes cost time and memory, and nothing here needs them.
"""
