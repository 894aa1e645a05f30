"""Containers: docker's command lines, built so that no secret stands in them."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hwnas.errors import JobError

_INSIDE = "/hwnas-credentials"

# What holds the credentials of a cloud: files and folders in the home, the variable that tells
# the cloud's tools where they lie, and the variables that are handed on by name.
_CLOUDS: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "gs": ((("CLOUDSDK_CONFIG", ".config/gcloud"),), ("GOOGLE_CLOUD_PROJECT",)),
    "s3": (
        (
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
            ("AWS_CONFIG_FILE", ".aws/config"),
        ),
        (
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
            *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"),
        ),
    ),
    "az": (
        (("AZURE_CONFIG_DIR", ".azure"),),
        (
            *("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
            *("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"),
        ),
    ),
}


def image_uri(docker_id: str, project_id: str = "", region: str = "") -> str:
    """The image of a `*_docker_id`.

    With a project it is Vertex's, in the registry of the region; without one an image of this
    host. What has a slash or a colon is an image's full name already.
    """
    if "/" in docker_id or ":" in docker_id:
        return docker_id
    if project_id:
        return f"{region}-docker.pkg.dev/{project_id}/nas/{docker_id}:latest"
    return f"{docker_id}:latest"


def docker_program() -> str:
    """Where docker is.

    Raises:
        JobError: it is not installed.
    """
    found = shutil.which("docker")
    if found is None:
        raise JobError(
            "docker is not on the PATH; install it, or run programs without containers: "
            "--run_local_binary true --local_binary trainer.py"
        )
    return found


def ensure_image(image: str) -> None:
    """Have an image on this host; it is pulled if it is not here.

    Raises:
        JobError: docker is not installed or does not run, or there is no such image.
    """
    docker = docker_program()
    here = subprocess.run([docker, "image", "inspect", image], capture_output=True, check=False)
    if here.returncode == 0:
        return
    pulled = subprocess.run([docker, "pull", image], capture_output=True, text=True, check=False)
    if pulled.returncode:
        lines = pulled.stderr.strip().splitlines() or ["no reason given"]
        raise JobError(f"cannot get the image {image}: {lines[-1]}")


def build_image(image: str, docker_file: Path, *, use_cache: bool = True, push: bool) -> None:
    """Build the image of a docker file with the current folder as its context, and push it.

    Docker's own output goes to the terminal.

    Raises:
        JobError: there is no such file, docker is not installed, or it fails.
    """
    if not docker_file.is_file():
        raise JobError(f"cannot build {image}: there is no file {docker_file}")
    docker = docker_program()
    cache = [] if use_cache else ["--no-cache"]
    steps = [("build", [docker, "build", *cache, "-f", str(docker_file), "-t", image, "."])]
    if push:
        steps.append(("push", [docker, "push", image]))
    for what, argv in steps:
        code = subprocess.run(argv, check=False).returncode
        if code:
            raise JobError(f"docker cannot {what} {image}: it ended with code {code}, see above")


def run_words(
    image: str,
    words: Sequence[str],
    *,
    name: str,
    root: str,
    env: Sequence[str] = (),
    mounts: Mapping[Path, str] | None = None,
    gpus: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """The words of `docker run`, and what to add to the environment that it is started with.

    Values of variables are handed on by name, so that none of them stands in the command line. A
    local root is mounted under its own path. Of credentials only those of the root's cloud get
    into the container, read-only.

    Args:
        words: for the program in the container.
        name: of the container, unlike that of any other.
        root: the URL of the store that the program works in.
        env: names of variables to hand on.
        mounts: folder of this host -> folder in the container.
    """
    scheme, _, path = root.partition("://")
    binds = {str(folder): (inside, False) for folder, inside in (mounts or {}).items()}
    extra: dict[str, str] = {}
    if scheme == "file":
        binds[path] = (path, False)
    for variable, source in _credentials(scheme):
        inside = f"{_INSIDE}/{Path(source).name}"
        binds[source] = (inside, True)
        extra[variable] = inside
    handed = [*env, *extra, *(v for v in _CLOUDS.get(scheme, ((), ()))[1] if v in os.environ)]
    argv = [docker_program(), "run", "--rm", "--init", "--ipc", "host", "--name", name]
    if os.getuid() != 0:  # else files of the job would belong to root
        argv += ["--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"]
    if gpus and shutil.which("nvidia-smi"):
        argv += ["--gpus", "all"]
    for source, (inside, read_only) in binds.items():
        argv += ["--mount", _bind(source, inside, read_only)]
    for variable in dict.fromkeys(handed):
        argv += ["--env", variable]
    return [*argv, image, *words], extra


def remove(name: str) -> None:
    """End a container, whatever it is doing; nothing happens where there is none."""
    subprocess.run([docker_program(), "rm", "--force", name], capture_output=True, check=False)


def _credentials(scheme: str) -> Iterator[tuple[str, str]]:
    """Variables, and what they are to name in the container."""
    for variable, below_home in _CLOUDS.get(scheme, ((), ()))[0]:
        source = Path(os.environ.get(variable) or Path.home() / below_home)
        if source.exists():
            yield variable, str(source)
    key = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if scheme == "gs" and key and Path(key).exists():
        yield "GOOGLE_APPLICATION_CREDENTIALS", key


def _bind(source: str, inside: str, read_only: bool) -> str:
    """Docker reads a mount as a line of CSV: a path may hold a comma."""
    fields = ["type=bind", f"source={source}", f"target={inside}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, *["readonly"] * read_only])
    return line.getvalue()
