"""Accounts, projects, memberships, invitations, tokens, webhooks, e-mail and the audit log."""
