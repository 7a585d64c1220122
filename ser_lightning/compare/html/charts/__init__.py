"""The page's charts: inline SVG, made without JavaScript."""
