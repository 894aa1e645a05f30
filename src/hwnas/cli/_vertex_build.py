"""`hwnas vertex build`: container images of trainers and latency calculators."""

from __future__ import annotations

from hwnas.cli._vertex_flags import Build, Cloud
from hwnas.errors import UsageError


def build(images: Build, cloud: Cloud) -> None:
    """Build images of trainers and latency calculators with docker; with a project, push them."""
    from hwnas.vertex import build_image, image_uri

    wanted = {
        images.trainer_docker_id: images.trainer_docker_file,
        images.latency_calculator_docker_id: images.latency_calculator_docker_file,
    }
    wanted.pop("", None)
    if not wanted:
        raise UsageError(
            "nothing to build: give --trainer_docker_id or --latency_calculator_docker_id"
        )
    for docker_id, file in wanted.items():
        uri = image_uri(docker_id, cloud.project_id, cloud.region.value)
        build_image(uri, file, use_cache=bool(images.use_cache), push=bool(cloud.project_id))
