from django.urls import path

from people import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("account/", views.account, name="account"),
    path("account/password/", views.password_change, name="password_change"),
    path("account/password/changed", views.password_changed, name="password_changed"),
    path("projects/new", views.project_new, name="projects-new"),
    path("accounts/", views.account_list, name="accounts"),
    path("accounts/new", views.account_new, name="account-new"),
    path("accounts/<int:pk>/", views.account_edit, name="account-edit"),
    path("accounts/<int:pk>/pause", views.account_pause, name="account-pause"),
    path("accounts/<int:pk>/activate", views.account_activate, name="account-activate"),
    path("accounts/<int:pk>/password", views.account_password, name="account-password"),
]
