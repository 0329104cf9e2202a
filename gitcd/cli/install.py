"""`gitcd install`: what runs gitcd in a cluster, as manifests to review and apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gitcd import __version__
from gitcd.cli import completing, options, output, session
from gitcd.cli.terminal import Console

_OWN = ("repo", "branch", "config")


@click.command(
    "install",
    epilog=options.examples(
        "install REPO --create-namespace > gitcd.yaml",
        "install REPO -e prod --apply images --config settings.yaml --out base",
    ),
)
@click.argument("repo", required=False, metavar="[REPO]",
                help="The address of the config repository.  [env var: GITCD_REPO]")  # fmt: skip
@options.branch
@click.option("--config", type=click.Path(dir_okay=False), metavar="FILE",
              help="The settings file that runs read; it goes into the cluster as it is.")  # fmt: skip
@click.option("--environment", "-e", multiple=True, metavar="NAME", shell_complete=completing.environments,
              help="A CronJob for this environment alone; repeatable. Without it one for all.")  # fmt: skip
@click.option("--from", "declarations_from", type=click.Choice(["repo", "cluster"]), default="repo", show_default=True,
              help="Where runs read declarations; repo needs no permission in the cluster.")  # fmt: skip
@click.option("--cluster-wide", is_flag=True, help="A ClusterRole in place of a Role in each mapped namespace.")
@click.option("--old-kinds", is_flag=True, help="With --from cluster: read the kinds of cvmanager and kcd too.")
@click.option("--apply", type=click.Choice(["images", "all"]),
              help="Take commits to the cluster too, with a CronJob and the rights for that: what stands beside "
              "images, or all.")  # fmt: skip
@click.option("--prune", is_flag=True,
              help="With --apply: delete what git no longer has, and the rights for that.")  # fmt: skip
@click.option("--kind", multiple=True, metavar="KIND=PLURAL.GROUP",
              help="With --apply: how the cluster serves a kind that allow.kinds names; repeatable. Kubernetes' own "
              "are known.")  # fmt: skip
@click.option("--controller", is_flag=True, help="A Deployment of `gitcd run` in place of CronJobs.")
@click.option(
    "--http-auth", is_flag=True, help="With --controller: who reads metrics or the list is asked for a token."
)
@click.option("--metrics-from", multiple=True, metavar="NAMESPACE",
              help="With --controller: pods of this namespace may connect to it; repeatable. Without it nobody "
              "may.")  # fmt: skip
@click.option("--namespace", "-n", default="gitcd", show_default=True, metavar="NAME", help="Where gitcd runs.")
@click.option("--create-namespace", is_flag=True, help="Render that namespace too, with Pod Security `restricted`.")
@click.option("--crd/--no-crd", default=True, show_default=True, help="Render the kind ContainerVersion too.")
@click.option("--image", metavar="IMAGE", help="The image of gitcd, best with its digest; default: gitcd:VERSION.")
@click.option("--schedule", default="*/5 * * * *", show_default=True, metavar="CRON", help="When runs start.")
@click.option("--role-arn", default="", metavar="ARN", help="The AWS role of the ServiceAccount, by IRSA.")
@click.option("--pod-identity", is_flag=True, help="Let pods reach the agent of EKS Pod Identity.")
@click.option("--git-secret", default="gitcd-git", show_default=True, metavar="NAME",
              help="The Secret with the way into the repository (token, or ssh-privatekey and known_hosts); '' for "
              "none.")  # fmt: skip
@click.option("--cache-claim", default="", metavar="NAME", help="A PersistentVolumeClaim that keeps the cache.")
@click.option("--cache-size", default="512Mi", show_default=True, metavar="SIZE",
              help="Memory for the cache where there is no claim; it counts towards --memory.")  # fmt: skip
@click.option("--memory", default="1Gi", show_default=True, metavar="SIZE", help="How much memory a run may take.")
@click.option("--out", type=click.Path(file_okay=False), metavar="DIR", help="Write a kustomize base into this folder.")
@options.output("yaml", "json", "name")
@options.verb
def command(console: Console, form: Any, out: str | None, **arguments: Any) -> None:
    """Print the manifests that run gitcd in a cluster: review them, then `kubectl apply --server-side -f FILE`.

    No cluster is asked anything, and none is changed.
    """
    from gitcd.usecases.install import install, write

    settings = session.settings_flags({name: arguments.pop(name) for name in _OWN})
    files = install({name: value for name, value in arguments.items() if value is not None}, settings)
    if out:
        write(Path(out), files)
        console.say(f"wrote {output.counted(len(files) + 1, 'file')} to {out}")
    elif form == "yaml":
        console.out.write_data("---\n".join(files.values()))
        console.say(f"not in it, and needed for the first run: {', '.join(_missing(arguments))}")
    else:
        _write_objects(console, form, files)


def _missing(arguments: dict[str, Any]) -> Iterator[str]:
    """What the manifests name and nobody brings unless the reader does."""
    image = arguments["image"] or f"gitcd:{__version__}, which no registry has (--image names yours)"
    yield f"the image {image}"
    if secret := arguments["git_secret"]:
        yield f"the Secret {secret} in the namespace {arguments['namespace']}"


def _write_objects(console: Console, form: str, files: dict[str, str]) -> None:
    from gitcd.usecases.install import objects

    found = objects(files)
    if form == "json":
        console.out.write_data(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=2) + "\n")
    else:
        output.write_names(console.out, [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in found])
