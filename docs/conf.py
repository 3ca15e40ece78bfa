"""The Sphinx configuration of the documentation site: ``tox run -e docs`` builds it and treats warnings as errors."""

from importlib.metadata import version as installed_version

project = "workspace-reaper"
author = "The workspace-reaper authors"
copyright = author
release = version = installed_version("workspace-reaper")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "workspace-reaper"
html_static_path = ["_static"]

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
