"""Images: read-only templates, content-addressed, imported from archives and unpacked into shared layers."""
