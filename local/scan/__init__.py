"""The scanners of images, syft and grype, built here from pinned Go modules where PATH has none."""
