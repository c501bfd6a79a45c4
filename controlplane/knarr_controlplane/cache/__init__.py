"""The API's own copy of everything in the store, from which lists and watches are served.

``entries``: one object as it is kept, encoded, with the few facts that selectors ask for. ``watch_cache``: the copy,
kept up to date by one watch on the store, and the log of recent changes that watchers follow.
"""
