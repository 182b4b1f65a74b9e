"""Log-in, a user's own settings, and the pages for administrators of the site."""

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from people import (
    accounts,
    forms,
    idempotency,
    invitations,
    login_lockout,
    mail,
    sessions,
    tokens,
)
from people.access import Refused, site_admin
from people.models import Membership, Project, Token, User

LETTERS = 20  # unsent letters that the accounts page shows

login = auth.LoginView.as_view(
    template_name="people/login.html",
    authentication_form=forms.LoginForm,
    redirect_authenticated_user=True,
)
logout = auth.LogoutView.as_view()
password_change = auth.PasswordChangeView.as_view(
    template_name="people/password.html",
    form_class=forms.PasswordForm,
    success_url=reverse_lazy("password_changed"),
)


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The user's projects."""
    return render(request, "people/home.html", {"memberships": visible_memberships(request.user)})


def visible_memberships(user: User) -> list[Membership]:
    """The user's memberships by project name, without drafts that the user does not administer."""
    memberships = Membership.objects.filter(user=user).select_related("project")
    return [
        membership
        for membership in memberships.order_by("project__name")
        if membership.project.state != Project.State.DRAFT
        or membership.role == Membership.Role.ADMIN
    ]


@login_required
def account(request: HttpRequest) -> HttpResponse:
    form = forms.AccountForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if request.method == "POST" and form.is_valid():
        accounts.change(request.user, User.objects.get(pk=request.user.pk), **form.cleaned_data)
        messages.success(request, _("Your settings were saved."))
        return redirect("account")
    context = {
        "form": form,
        "memberships": visible_memberships(request.user),
        "sessions": sessions.of(request.user),
    }
    return render(
        request, "people/accounts/account.html", context, status=422 if form.errors else 200
    )


@login_required
@require_POST
def session_end(request: HttpRequest, pk: int) -> HttpResponse:
    session = get_object_or_404(sessions.of(request.user), pk=pk)
    sessions.end(request.user, sessions.of(request.user).filter(pk=pk))
    messages.success(request, _("%(device)s was logged out.") % {"device": session.device})
    return redirect("account")


@login_required
@require_POST
def sessions_end_others(request: HttpRequest) -> HttpResponse:
    """Log this user out in all browsers but this one."""
    others = sessions.of(request.user).exclude(session=request.session.session_key)
    count = sessions.end(request.user, others)
    message = ngettext(
        "%(n)s other browser was logged out.", "%(n)s other browsers were logged out.", count
    )
    messages.success(request, message % {"n": count})
    return redirect("account")


@login_required
@require_GET
def password_changed(request: HttpRequest) -> HttpResponse:
    messages.success(request, _("Your password was changed. Other browsers were logged out."))
    return redirect("account")


@login_required
@never_cache
def token_list(request: HttpRequest) -> HttpResponse:
    """The user's API tokens. A new token is shown once."""
    form, new_token = forms.TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            new_token = _new_token(request, form)
            form = forms.TokenForm()
        except Refused as error:
            form.add_error(None, str(error))
    valid = tokens.open_of(request.user).order_by("-pk")
    context = {"form": form, "shown": new_token, "tokens": valid}
    return render(
        request, "people/accounts/tokens.html", context, status=422 if form.errors else 200
    )


def _new_token(request: HttpRequest, form: forms.TokenForm) -> str:
    """The text of the new token; empty when this form was sent before."""
    text = ""

    def make() -> dict:
        nonlocal text
        token, text = tokens.make(request.user, **form.values())
        return {"token": token.pk}

    idempotency.once(request.user, form.cleaned_data["key"], make)
    return text


@login_required
@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(Token, user=request.user, pk=pk)
    tokens.revoke(request.user, token)
    messages.success(request, _("The token “%(name)s” was revoked.") % {"name": token.name})
    return redirect("tokens")


# For administrators of the site


@site_admin
@require_GET
def account_list(request: HttpRequest) -> HttpResponse:
    memberships = Membership.objects.select_related("project").order_by("project__name")
    people = (
        User.objects.prefetch_related(Prefetch("memberships", memberships))
        .annotate(projects=Count("memberships"))
        .order_by("email")
    )
    context = {"people": people, "invitations": invitations.open_to(None)}
    letters = mail.unsent()
    context |= {"letters": letters[:LETTERS], "more_letters": max(0, letters.count() - LETTERS)}
    return render(request, "people/accounts/accounts.html", context)


@site_admin
@never_cache
@sensitive_post_parameters()
def account_new(request: HttpRequest) -> HttpResponse:
    form = forms.NewAccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _create_account(request, form)
        except Refused as error:
            form.add_error(error.field, str(error))
    return render(
        request,
        "people/accounts/account_new.html",
        {"form": form},
        status=422 if form.errors else 200,
    )


def _create_account(request: HttpRequest, form: forms.NewAccountForm) -> HttpResponse:
    """The page with the new account's password, shown once: the receipt doesn't hold it."""
    password = ""  # stays empty when this form was sent before

    def create() -> dict:
        nonlocal password
        person, password = accounts.create(request.user, **form.values())
        return {"account": person.pk}

    result, _created = idempotency.once(request.user, form.cleaned_data["key"], create)
    person = User.objects.get(pk=result["account"])
    return render(
        request,
        "people/accounts/account_password.html",
        {"person": person, "password": password, "fresh": True},
    )


@site_admin
def account_edit(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    form = forms.EditAccountForm(request.POST or None, instance=get_object_or_404(User, pk=pk))
    if request.method == "POST" and form.is_valid():
        try:
            accounts.change(request.user, person, **form.cleaned_data)
            messages.success(request, _("The account was saved."))
            return redirect("accounts")
        except Refused as error:
            form.add_error(error.field, str(error))
    memberships = person.memberships.select_related("project")
    locks = login_lockout.locks(person.email)
    context = {"form": form, "person": person, "memberships": memberships, "locks": locks}
    return render(
        request, "people/accounts/account_edit.html", context, status=422 if form.errors else 200
    )


@site_admin
@require_POST
def account_pause(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    try:
        accounts.pause(request.user, person)
        messages.success(
            request,
            _("%(person)s was paused and logged out. Their tasks were returned to the queue.")
            % {"person": person},
        )
    except Refused as error:
        messages.error(request, str(error))
    return redirect("account-edit", pk)


@site_admin
@require_POST
def account_activate(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    accounts.activate(request.user, person)
    messages.success(request, _("%(person)s can log in again.") % {"person": person})
    return redirect("account-edit", pk)


@site_admin
@never_cache
@require_POST
def account_password(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    password = accounts.new_password(request.user, person)
    return render(
        request, "people/accounts/account_password.html", {"person": person, "password": password}
    )


@site_admin
@require_POST
def account_unlock(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    login_lockout.lift(request.user, person)
    messages.success(request, _("%(person)s can try to log in again.") % {"person": person})
    return redirect("account-edit", pk)
