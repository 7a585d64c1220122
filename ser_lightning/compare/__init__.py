"""Many runs: read, group, test in pairs; tables, files and the page.

Run directories come in, a `Comparison` goes out, and from it every table. Imports `report` and below.
"""
