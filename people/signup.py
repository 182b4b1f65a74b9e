"""Pages for invitations, sign-up and password reset."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import authenticate, login
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.timezone import now
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from people import access, forms, idempotency, invitations, mail
from people.access import Refused, site_admin
from people.models import Invitation, User

# A forgotten password

reset = auth.PasswordResetView.as_view(
    template_name="people/reset.html",
    form_class=forms.ResetForm,
    email_template_name="people/mail/reset.txt",
    success_url=reverse_lazy("password-reset-sent"),
    extra_context={"mail_is_sent": mail.is_sent},
)


class ResetPassword(SuccessMessageMixin, auth.PasswordResetConfirmView):
    """The page that a reset link opens. A new password ends all sessions of the account."""

    template_name = "people/reset_password.html"
    form_class = forms.NewPasswordForm
    success_url = reverse_lazy("login")
    success_message = gettext_lazy(
        "Your password was changed. All sessions were logged out. Log in with the new password."
    )


reset_password = ResetPassword.as_view()


@require_GET
def reset_sent(request: HttpRequest) -> HttpResponse:
    return render(request, "people/reset_sent.html")


# Accepting an invitation


@never_cache
@sensitive_post_parameters()
def join(request: HttpRequest, token: str) -> HttpResponse:
    """The page that an invitation link opens: sign up, or log in and accept."""
    invitation = invitations.find(token)
    if invitation and _has_used(request, invitation):
        return _enter(invitation)
    try:
        invitations.refuse_unless_open(invitation)
        return _join_with_account(request, invitation) or _sign_up(request, invitation)
    except Refused as why:
        return render(request, "people/signup/join_closed.html", {"why": str(why)}, status=410)


def _has_used(request: HttpRequest, invitation: Invitation) -> bool:
    """Whether the request comes from the person who used the invitation.

    If the sign-up form is sent twice, the second copy logs in with the password in it.
    """
    if invitation.state != Invitation.State.USED:
        return False
    if not request.user.is_authenticated and "password1" in request.POST:
        user = authenticate(request, username=invitation.email, password=request.POST["password1"])
        if user is not None:
            login(request, user)
    return request.user.is_authenticated and request.user.email == invitation.email


def _join_with_account(request: HttpRequest, invitation: Invitation) -> HttpResponse | None:
    """Accept with an existing account, or ask to log in first. None where there is no account."""
    has_account = User.objects.filter(email=invitation.email).exists()
    if request.user.is_authenticated and request.method == "POST":
        invitations.accept(request.user, invitation)
        return _enter(invitation)
    if request.user.is_authenticated or has_account:
        return render(request, "people/signup/join.html", {"invitation": invitation})
    return None


def _sign_up(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = forms.SignUpForm(
        request.POST or None, instance=User(email=invitation.email, language=get_language())
    )
    if request.method == "POST" and form.is_valid():
        fields = {
            "name": form.cleaned_data["name"],
            "zone": form.cleaned_data["zone"],
            "language": get_language(),
        }
        user = invitations.sign_up(invitation, form.cleaned_data["password1"], **fields)
        login(request, user, backend="people.sessions.Accounts")
        return _enter(invitation)
    context = {"form": form, "invitation": invitation}
    response = render(
        request, "people/signup/sign_up.html", context, status=422 if form.errors else 200
    )
    # Django would log the URL of a 422, and the token in it is still valid.
    response._has_been_logged = True
    return response


def _enter(invitation: Invitation) -> HttpResponse:
    return redirect("project", invitation.project.slug) if invitation.project else redirect("home")


# Inviting


def show_link(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    """Mail and show the link. Without a token, say that it was shown before."""
    link = request.build_absolute_uri(reverse("join", args=[token])) if token else ""
    if token:
        mail_link(request, invitation, link)
    context = {"invitation": invitation, "link": link, "mail_is_sent": mail.is_sent()}
    return render(request, "people/signup/invited.html", context)


def mail_link(request: HttpRequest, invitation: Invitation, link: str) -> None:
    """Queue the invitation e-mail."""
    context = {"invitation": invitation, "link": link, "user": request.user}
    valid_for = invitation.expires_at - now()
    mail.send(invitation.email, "people/mail/invitation.txt", context, valid_for)


@site_admin
@never_cache
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody to the site, without a project."""
    form = forms.InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _invited(request, form)
        except Refused as error:
            form.add_error(error.field, str(error))
    return render(
        request, "people/signup/invite.html", {"form": form}, status=422 if form.errors else 200
    )


def _invited(request: HttpRequest, form: forms.InviteForm) -> HttpResponse:
    new_token = ""  # stays empty when this form was sent before

    def invite_once() -> dict:
        nonlocal new_token
        invitation, new_token = invitations.invite(request.user, form.cleaned_data["email"], None)
        return {"invitation": invitation.pk}

    result, _created = idempotency.once(request.user, form.cleaned_data["key"], invite_once)
    return show_link(request, Invitation.objects.get(pk=result["invitation"]), new_token)


@login_required
@never_cache
@require_POST
def renew(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = access.invitation_or_404(request.user, pk)
    try:
        return show_link(request, *invitations.renew(request.user, invitation))
    except Refused as error:
        messages.error(request, str(error))
        return _to_list(invitation)


@login_required
@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = access.invitation_or_404(request.user, pk)
    invitations.withdraw(request.user, invitation)
    messages.success(
        request, _("The invitation of %(email)s was withdrawn.") % {"email": invitation.email}
    )
    return _to_list(invitation)


def _to_list(invitation: Invitation) -> HttpResponse:
    return (
        redirect("members", invitation.project.slug) if invitation.project else redirect("accounts")
    )
