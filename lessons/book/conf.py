"""Sphinx's configuration. It is copied beside the gathered pages."""

import minipar

project, author, version = "minipar", "the minipar developers", minipar.__version__
extensions = ["myst_nb", "minipar.lessons.book.figures"]
exclude_patterns = ["build", "**/runs/**"]
suppress_warnings = ["misc.highlighting_failure", "mystnb.unknown_mime_type"]

# Lessons: executed here, from nothing; an error ends the build.
nb_execution_mode = "auto"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The site: no network, no search summaries (a page from a folder may not fetch others).
html_theme = "sphinx_book_theme"
html_title = f"minipar {version}"
html_static_path = ["static"]
html_css_files = ["players/style.css", "book.css"]
html_show_sourcelink = False
html_show_search_summary = False
html_copy_source = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_theme_options = {"navbar_persistent": [], "use_download_button": False, "use_fullscreen_button": False, "show_toc_level": 2,
                      "use_source_button": False, "use_issues_button": False, "use_repository_button": False}
pygments_style = "a11y-high-contrast-light"
