"""The API's own copy of everything in the store, from which lists and watches are served.

``entries``: one object as it is kept, encoded, with the few facts that selectors ask for. ``changes``: what happens to
them, and who is told. ``kind_cache``: all of a kind, and the log of recent changes that watchers follow.
``watch_cache``: the whole, kept up to date by one watch on the store.
"""
