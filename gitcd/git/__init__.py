"""Git: mirror, trees, commits, push, history. The only importer of GitPython, of which it uses the command runner."""
