"""The URLs of accounts and invitations."""

from django.urls import path

from people import signup, views

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("join/<str:token>/", signup.join, name="join"),
    path("password/", signup.reset, name="password-reset"),
    path("password/sent", signup.reset_sent, name="password-reset-sent"),
    path("password/<uidb64>/<token>/", signup.reset_password, name="password-new"),
    path("invitations/<int:pk>/renew", signup.renew, name="invitation-renew"),
    path("invitations/<int:pk>/withdraw", signup.withdraw, name="invitation-withdraw"),
    path("account/", views.account, name="account"),
    path("account/password/", views.password_change, name="password_change"),
    path("account/password/changed", views.password_changed, name="password_changed"),
    path("account/sessions/<int:pk>/end", views.session_end, name="session-end"),
    path("account/sessions/end-others", views.sessions_end_others, name="sessions-end-others"),
    path("account/tokens/", views.token_list, name="tokens"),
    path("account/tokens/<int:pk>/revoke", views.token_revoke, name="token-revoke"),
    path("accounts/", views.account_list, name="accounts"),
    path("accounts/new", views.account_new, name="account-new"),
    path("accounts/invite", signup.invite, name="account-invite"),
    path("accounts/<int:pk>/", views.account_edit, name="account-edit"),
    path("accounts/<int:pk>/pause", views.account_pause, name="account-pause"),
    path("accounts/<int:pk>/activate", views.account_activate, name="account-activate"),
    path("accounts/<int:pk>/password", views.account_password, name="account-password"),
    path("accounts/<int:pk>/unlock", views.account_unlock, name="account-unlock"),
]
