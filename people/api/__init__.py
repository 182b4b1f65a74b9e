"""The REST API: the base classes that all apps share, and the endpoints of this app.

It calls the same actions as the pages.
"""
