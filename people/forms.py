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
    """A form that counts once: its key is made with the page and comes back with it."""

    key = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)

    def clean_key(self):
        return self.cleaned_data["key"] or uuid4()

    def values(self) -> dict:
        """What was filled in, without the key."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}

    def validate_unique(self) -> None:
        """What must be unique is the verb's question: a repeated form has to reach its receipt."""


class LoginForm(AuthenticationForm):
    """Upper and lower case of an e-mail are the same."""

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
        return (
            ValidationError(locked, code="locked") if locked else super().get_invalid_login_error()
        )


class PasswordForm(PasswordChangeForm):
    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        audit.record(self.user, "change password", self.user)
        return super().save(commit)


class ResetForm(PasswordResetForm):
    """Asks for a link by e-mail. The answer is the same whether or not there is such an account."""

    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )

    def get_users(self, email: str) -> list[User]:
        user = accounts.ask_for_reset(email)
        if user is None:
            transaction.on_commit(mail.wake)  # as for a letter, so that the answer takes as long
        return [user] if user else []

    def send_mail(self, subject_template, template, context, sender, to, **_html) -> None:
        valid_for = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
        mail.send(to, template, context, valid_for, context["user"].language)


class NewPasswordForm(SetPasswordForm):
    """The password that a mailed link leads to; whoever has it may also try again at once."""

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
    """The account of somebody who was invited; its instance brings the e-mail."""

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
        self.validate_password_for_user(
            self.instance
        )  # it must not resemble the name, known only now


class AccountForm(forms.ModelForm):
    """One's own settings."""

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
    """A new project; the rest is set on its settings page."""

    class Meta:
        model = Project
        fields = ["name", "slug", "k", "overlap"]


class FlagsField(forms.CharField):
    """Flags, one a line. A standard one is known by its name, whatever the language of the page;
    others are their text.
    """

    widget = forms.Textarea(attrs={"rows": 6})

    def prepare_value(self, value):
        return (
            "\n".join(str(FLAGS.get(flag, flag)) for flag in value)
            if isinstance(value, list)
            else value
        )

    def clean(self, value) -> list[str]:
        names = {str(name): flag for flag, name in FLAGS.items()}
        lines = [line.strip() for line in super().clean(value).splitlines()]
        flags = list(dict.fromkeys(names.get(line, line) for line in lines if line))
        if len(flags) > MOST_FLAGS or any(len(flag) > LONGEST_FLAG for flag in flags):
            raise ValidationError(
                _("At most %(n)s flags of at most %(length)s characters.") % LIMITS
            )
        return flags


MOST_FLAGS, LONGEST_FLAG = 30, 100
LIMITS = {"n": MOST_FLAGS, "length": LONGEST_FLAG}


class SettingsForm(forms.ModelForm):
    zone = zone_field()
    flags = FlagsField(
        label=_("Flags"),
        required=False,
        help_text=_("What may be said of an answer, one a line; none: no flags."),
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
            "k": _("Used by the next sampling job; tasks that exist keep theirs."),
            "overlap": _("How many people rank each new task."),
            "state": _(
                "Archiving returns leases, cancels waiting jobs and makes the pages read-only."
            ),
        }


class TokenForm(Keyed):
    """What lets a script in."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("What it is for: a notebook, a nightly job.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"),
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
    """Where a project's events are told, and which."""

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
