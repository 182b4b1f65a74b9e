"""The forms of accounts, projects and memberships."""

import zoneinfo
from datetime import timedelta
from uuid import uuid4

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
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from people import accounts, audit, login_lockout, mail
from people.models import FLAGS, Membership, Project, Token, User, Webhook


class Keyed(forms.Form):
    """A form with a hidden idempotency key: sent twice, it takes effect once."""

    key = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)

    def clean_key(self):
        return self.cleaned_data["key"] or uuid4()

    def values(self) -> dict:
        """The cleaned data without the key."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}

    def validate_unique(self) -> None:
        """Skipped: the action checks uniqueness, so that a repeated form finds its receipt."""


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


class PasswordForm(PasswordChangeForm):
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

    def send_mail(self, subject_template, template, context, sender, to, **_html) -> None:
        valid_for = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
        mail.send(to, template, context, valid_for, context["user"].language)


class NewPasswordForm(SetPasswordForm):
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


class NewAccountForm(Keyed, forms.ModelForm):
    class Meta:
        model = User
        fields = ["email", "name", "is_staff", "simulated"]


class InviteForm(Keyed):
    email = forms.EmailField(label=_("E-mail"))


class EditAccountForm(forms.ModelForm):
    zone = zone_field()

    class Meta:
        model = User
        fields = ["name", "zone", "is_staff", "simulated"]


class ProjectForm(Keyed, forms.ModelForm):
    """A new project. All other settings are on its settings page."""

    class Meta:
        model = Project
        fields = ["name", "slug", "k", "overlap"]


class FlagsField(forms.CharField):
    """Flags, one per line.

    The translated name of a standard flag is stored as its key; any other flag as its text.
    """

    widget = forms.Textarea(attrs={"rows": 6})

    def prepare_value(self, value):
        if not isinstance(value, list):
            return value
        return "\n".join(str(FLAGS.get(flag, flag)) for flag in value)

    def clean(self, value) -> list[str]:
        standard = {str(name): flag for flag, name in FLAGS.items()}
        lines = [line.strip() for line in super().clean(value).splitlines()]
        flags = [standard.get(line, line) for line in lines if line]
        flags = list(dict.fromkeys(flags))  # without duplicates
        if len(flags) > MOST_FLAGS or any(len(flag) > LONGEST_FLAG for flag in flags):
            raise ValidationError(
                _("Use at most %(n)s flags of at most %(length)s characters.") % LIMITS
            )
        return flags


MOST_FLAGS, LONGEST_FLAG = 30, 100
LIMITS = {"n": MOST_FLAGS, "length": LONGEST_FLAG}


class SettingsForm(forms.ModelForm):
    zone = zone_field()
    flags = FlagsField(
        label=_("Flags"),
        required=False,
        help_text=_("Flags that labelers can set on an answer, one per line."),
    )

    class Meta:
        model = Project
        fields = ["name", "guidelines", "k", "overlap", "completion", "skips_to_set_aside"]
        fields += [
            "ties",
            "rating",
            "flags",
            "notes",
            "strength",
            "lease_minutes",
            "daily_limit",
            "gold_share",
        ]
        fields += ["zone", "state"]
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 12})}
        help_texts = {
            "k": _("Applies to the next sampling job. Existing tasks don't change."),
            "overlap": _("How many labelers rank each new task."),
            "state": _(
                "Archiving returns leases, cancels waiting jobs and makes the project read-only."
            ),
        }


class TokenForm(Keyed):
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


class WebhookForm(Keyed, forms.ModelForm):
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


class MemberForm(Keyed):
    email = forms.EmailField(label=_("E-mail"))
    role = forms.ChoiceField(
        label=_("Role"), choices=Membership.Role, initial=Membership.Role.LABELER
    )
