"""Webhooks: who is told of which events, and how an event is delivered."""
