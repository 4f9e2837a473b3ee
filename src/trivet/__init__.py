"""trivet: a self-healing drive that watches itself."""

from importlib.metadata import version

__version__ = version("trivet")
