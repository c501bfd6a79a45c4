"""SPDY/3.1, as Kubernetes' streaming clients speak it: framing and connection state without I/O, and a session.

Source: draft-mbelshe-httpbis-spdy-00 and "SPDY Protocol – Draft 3.1" (session flow control).
"""
