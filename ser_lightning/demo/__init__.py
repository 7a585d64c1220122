"""A page in the browser to try a model with: `ser demo`. Imports `inference`, `report` and below."""
