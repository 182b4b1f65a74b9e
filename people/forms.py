"""The forms of accounts, tokens, webhooks and memberships."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
    SetPasswordMixin,
    UsernameField,
)
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from people import accounts, audit, json_depth, login_lockout, mail, tokens
from people.models import Membership, Token, User, Webhook


class IdempotentForm(forms.Form):
    """A form with a hidden idempotency key: sent twice, it takes effect once."""

    key = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)

    def clean_key(self) -> UUID:
        return self.cleaned_data["key"] or uuid4()

    def values(self) -> dict:
        """The cleaned data without the key."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}

    def validate_unique(self) -> None:
        """Skipped: the action checks uniqueness, so that a repeated form finds its receipt."""


class JSONField(forms.JSONField):
    """A JSON text of limited depth."""

    def to_python(self, value: Any) -> Any:
        try:
            if isinstance(value, str) and value.strip():
                json_depth.read(value)
        except json_depth.TooDeep:
            raise ValidationError(_("This nests too deeply."), code="too_deep") from None
        except ValueError:
            pass  # Django's field says so
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the form shows again: what nests too deeply, as the text that it is."""
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return InvalidJSONInput(data)


class LoginForm(AuthenticationForm):
    """Log-in by e-mail, in upper or lower case."""

    username = UsernameField(
        label=_("E-mail"),
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )
    error_messages = {
        "invalid_login": _(
            "There is no active account with this e-mail and password. Passwords are "
            "case-sensitive."
        ),
        "inactive": _("This account is paused."),
    }

    def get_invalid_login_error(self) -> ValidationError:
        locked = login_lockout.message(self.request)
        if locked:
            return ValidationError(locked, code="locked")
        return super().get_invalid_login_error()


class RevokesTokens(forms.Form):
    """Asks with a new password whether the account's API tokens end too, if it has any."""

    revoke_tokens = forms.BooleanField(
        label=_("Revoke my API tokens"),
        required=False,
        initial=True,
        help_text=_("Scripts that use them stop working."),
    )

    def __init__(self, user: User, *args, **kwargs):
        super().__init__(user, *args, **kwargs)
        if not tokens.open_of(user).exists():
            del self.fields["revoke_tokens"]

    def save(self, commit: bool = True) -> User:
        if self.cleaned_data.get("revoke_tokens"):
            tokens.revoke_all(self.user, self.user)
        return super().save(commit)


class PasswordForm(RevokesTokens, PasswordChangeForm):
    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        audit.record(self.user, "change password", self.user)
        return super().save(commit)


class ResetForm(PasswordResetForm):
    """Requests a reset link by e-mail. The response is the same if the account doesn't exist."""

    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )

    def get_users(self, email: str) -> list[User]:
        user = accounts.ask_for_reset(email)
        if user is None:
            transaction.on_commit(mail.wake)  # takes as long as for an existing account
        return [user] if user else []

    def send_mail(
        self,
        subject_template: str,
        template: str,
        context: dict[str, Any],
        sender: str | None,
        to: str,
        **_html,
    ) -> None:
        valid_for = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
        mail.send(to, template, context, valid_for, context["user"].language)


class NewPasswordForm(RevokesTokens, SetPasswordForm):
    """The form that a reset link opens. A new password also lifts a log-in lockout."""

    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        audit.record(self.user, "reset password", self.user)
        login_lockout.lift(self.user, self.user)
        return super().save(commit)


def zone_field() -> forms.ChoiceField:
    names = sorted(zoneinfo.available_timezones())
    return forms.ChoiceField(
        label=_("Time zone"), choices=[(name, name) for name in names], initial="UTC"
    )


class SignUpForm(SetPasswordMixin, forms.ModelForm):
    """Sign-up of an invited person. The form's instance carries the e-mail."""

    name = forms.CharField(
        label=_("Name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    zone = zone_field()
    password1, password2 = SetPasswordMixin.create_password_fields()

    class Meta:
        model = User
        fields = ["name", "zone"]

    def clean(self) -> dict:
        self.validate_passwords()
        return super().clean()

    def _post_clean(self) -> None:
        super()._post_clean()
        # only now does the instance have the name, which the password must not resemble
        self.validate_password_for_user(self.instance)


class AccountForm(forms.ModelForm):
    """The user's own settings."""

    zone = zone_field()
    language = forms.ChoiceField(label=_("Language"), choices=lambda: settings.LANGUAGES)

    class Meta:
        model = User
        fields = ["name", "zone", "language", "theme", "shortcuts", "sensitive"]


class NewAccountForm(IdempotentForm, forms.ModelForm):
    class Meta:
        model = User
        fields = ["email", "name", "is_staff", "simulated"]


class InviteForm(IdempotentForm):
    email = forms.EmailField(label=_("E-mail"))


class EditAccountForm(forms.ModelForm):
    zone = zone_field()

    class Meta:
        model = User
        fields = ["name", "zone", "is_staff", "simulated"]


class TokenForm(IdempotentForm):
    """A new API token."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("What the token is for, such as a notebook or a nightly job."),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=Token.Scope,
        widget=forms.CheckboxSelectMultiple,
        initial=[Token.Scope.READ],
    )
    days = forms.TypedChoiceField(
        label=_("Expires in"),
        coerce=int,
        initial=90,
        choices=[
            (days, ngettext_lazy("%d day", "%d days", days) % days) for days in (7, 30, 90, 366)
        ],
    )


class WebhookForm(IdempotentForm, forms.ModelForm):
    """The URL and the events of a webhook."""

    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=lambda: [(event.value, f"{event.value}: {event.label}") for event in Webhook.Event],
        widget=forms.CheckboxSelectMultiple,
        initial=Webhook.Event.values,
    )

    class Meta:
        model = Webhook
        fields = ["url", "events"]
        widgets = {"url": forms.URLInput(attrs={"placeholder": "https://example.org/hooks"})}


class MemberForm(IdempotentForm):
    email = forms.EmailField(label=_("E-mail"))
    role = forms.ChoiceField(
        label=_("Role"), choices=Membership.Role, initial=Membership.Role.LABELER
    )
