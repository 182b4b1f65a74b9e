"""URLs below /api/v1/."""

from django.urls import path

from people.api import accounts, invitations, projects, root, webhooks

urlpatterns = [
    path("openapi.json", root.openapi, name="api-openapi"),
    path("docs/", root.docs, name="api-docs"),
    # The user
    path("me", accounts.Me.as_view()),
    path("tokens", accounts.Tokens.as_view()),
    path("tokens/<int:pk>", accounts.OneToken.as_view()),
    # Members of projects
    path("projects/<slug:slug>/members", projects.Members.as_view()),
    path("projects/<slug:slug>/members/<int:pk>", projects.OneMember.as_view()),
    path("projects/<slug:slug>/leave", projects.Leave.as_view()),
    path("projects/<slug:slug>/invitations", invitations.ProjectInvitations.as_view()),
    path("projects/<slug:slug>/audit", projects.Audit.as_view()),
    # Webhooks
    path("projects/<slug:slug>/webhooks", webhooks.Webhooks.as_view()),
    path("projects/<slug:slug>/webhooks/<int:pk>", webhooks.OneWebhook.as_view()),
    path("projects/<slug:slug>/webhooks/<int:pk>/renew-secret", webhooks.RenewSecret.as_view()),
    path("projects/<slug:slug>/webhooks/<int:pk>/test", webhooks.Test.as_view()),
    path("projects/<slug:slug>/webhooks/<int:pk>/deliveries", webhooks.Deliveries.as_view()),
    path("projects/<slug:slug>/deliveries/<int:pk>/redeliver", webhooks.Redeliver.as_view()),
    # The site
    path("accounts", accounts.Accounts.as_view()),
    path("accounts/<int:pk>", accounts.OneAccount.as_view()),
    path("accounts/<int:pk>/pause", accounts.PauseAccount.as_view()),
    path("accounts/<int:pk>/activate", accounts.ActivateAccount.as_view()),
    path("accounts/<int:pk>/unlock", accounts.UnlockAccount.as_view()),
    path("accounts/<int:pk>/password", accounts.NewPassword.as_view()),
    path("invitations", invitations.SiteInvitations.as_view()),
    path("invitations/<int:pk>", invitations.OneInvitation.as_view()),
    path("invitations/<int:pk>/renew", invitations.Renew.as_view()),
]
