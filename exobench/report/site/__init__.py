"""The pages: templates, styles, scripts and downloads of the static site, filled with what the tables hold."""
