"""The forms of accounts, projects and memberships."""

import zoneinfo
from uuid import uuid4

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UsernameField
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from people import audit
from people.models import Membership, Project, User


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
        label=_("E-mail"), widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"})
    )
    error_messages = {
        "invalid_login": _("There is no active account with this e-mail and password. Passwords are case-sensitive."),
        "inactive": _("This account is paused."),
    }


class PasswordForm(PasswordChangeForm):
    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        audit.record(self.user, "change password", self.user)
        return super().save(commit)


def zone_field() -> forms.ChoiceField:
    names = sorted(zoneinfo.available_timezones())
    return forms.ChoiceField(label=_("Time zone"), choices=[(name, name) for name in names], initial="UTC")


class AccountForm(forms.ModelForm):
    """One's own settings."""

    zone = zone_field()

    class Meta:
        model = User
        fields = ["name", "zone", "shortcuts"]


class NewAccountForm(Keyed, forms.ModelForm):
    class Meta:
        model = User
        fields = ["email", "name", "is_staff", "simulated"]


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


class SettingsForm(forms.ModelForm):
    zone = zone_field()

    class Meta:
        model = Project
        fields = ["name", "guidelines", "k", "overlap", "completion", "skips_to_set_aside", "ties"]
        fields += ["lease_minutes", "daily_limit", "zone", "state"]
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 12})}
        help_texts = {
            "k": _("Used by the next sampling job; tasks that exist keep theirs."),
            "overlap": _("How many people rank each new task."),
            "state": _("Archiving returns leases, cancels waiting jobs and makes the pages read-only."),
        }


class MemberForm(Keyed):
    email = forms.EmailField(label=_("E-mail"))
    role = forms.ChoiceField(label=_("Role"), choices=Membership.Role, initial=Membership.Role.LABELER)
