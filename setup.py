"""The one thing pyproject.toml cannot say: dockerizer/ is installed as disdat.dockerizer."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["disdat", "disdat.*"]), "disdat.dockerizer"],
    package_dir={"disdat.dockerizer": "dockerizer"},
)
