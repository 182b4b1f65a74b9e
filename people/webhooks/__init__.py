"""Webhooks: which URLs subscribe to which events, and how events are delivered."""
