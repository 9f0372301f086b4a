"""OCI images made on this machine: of the platform's own programs, and of services from their Dockerfiles.

Everything here works where no image registry can be reached, and gives the same digest for the same content.
"""

from local.images.platform import (
    monitoring_image_names,
    monitoring_images,
    platform_binary,
    platform_image_names,
    platform_images,
)
from local.images.push import push
from local.images.service import BuiltImage, build_service, content_hash

__all__ = [
    "BuiltImage",
    "build_service",
    "content_hash",
    "monitoring_image_names",
    "monitoring_images",
    "platform_binary",
    "platform_image_names",
    "platform_images",
    "push",
]
