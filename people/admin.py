"""The back office of this app: look up all rows, and correct accounts and projects.

Actions with further effects (pausing, archiving, inviting) have their own pages.
"""

from __future__ import annotations

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth import admin as auth_admin  # noqa: F401  (registers Group, which is unregistered below)
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.db import models
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from people import audit
from people.forms import JSONField
from people.models import (
    AuditEvent,
    Delivery,
    Invitation,
    Letter,
    Membership,
    Project,
    Receipt,
    User,
    Webhook,
)

admin.site.site_header = admin.site.site_title = _("Podium: back office")
admin.site.index_title = _("All rows")
admin.site.unregister(Group)  # roles are memberships, not groups
# One log-in page for the whole site: it shows when log-in is locked.
admin.site.login = login_required(admin.site.login)


class ViewOnlyMixin:
    """Every administrator of the site may view these rows; nobody may change them."""

    formfield_overrides = {models.JSONField: {"form_class": JSONField}}

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_staff

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class ReadOnly(ViewOnlyMixin, admin.ModelAdmin):
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff


class Inline(ViewOnlyMixin, admin.TabularInline):
    extra = 0


class Editable(ReadOnly):
    """Rows whose simple fields may be edited here. Each change writes an audit event."""

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_staff

    def save_related(
        self, request: HttpRequest, form: ModelForm, formsets: list, change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        forms = [form, *(inline for formset in formsets for inline in formset.forms)]
        changed = [
            name
            for form_or_inline in forms
            if form_or_inline.has_changed()
            for name in form_or_inline.changed_data
        ]
        audit.record(
            request.user, f"change {form.instance._meta.model_name}", form.instance, fields=changed
        )


@admin.register(User)
class UserAdmin(Editable):
    list_display = ["email", "name", "state", "is_staff", "simulated", "last_login"]
    list_filter = ["state", "is_staff", "simulated"]
    search_fields = ["email", "name"]
    fields = [
        "email",
        "name",
        "zone",
        "language",
        "theme",
        "shortcuts",
        "sensitive",
        "state",
        "is_staff",
        "simulated",
        "uuid",
        "last_login",
        "created_at",
    ]
    # Pausing ends sessions and returns leases, and a new password is shown once: other pages do so.
    readonly_fields = [
        "state",
        "is_staff",
        "simulated",
        "uuid",
        "last_login",
        "created_at",
        "language",
        "theme",
    ]
    readonly_fields += ["sensitive"]  # only users themselves may opt in to sensitive content


class MembershipInline(Inline):
    model = Membership
    fields = ["user", "role", "paused"]


@admin.register(Project)
class ProjectAdmin(Editable):
    list_display = ["name", "slug", "state", "created_at"]
    list_filter = ["state"]
    search_fields = ["name", "slug"]
    # Archiving returns leases: the project's settings page does it.
    readonly_fields = ["slug", "state", "created_at"]
    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    list_display = ["user", "project", "role", "paused"]
    list_filter = ["role", "paused", "project"]
    list_select_related = ["user", "project"]
    search_fields = ["user__email", "user__name"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ["email", "project", "role", "state", "expires_at", "invited_by"]
    list_filter = ["state", "project"]
    list_select_related = ["project", "invited_by"]
    search_fields = ["email"]
    fields = ["email", "project", "role", "state", "expires_at", "invited_by", "created_at"]


@admin.register(AccessAttempt)
class FailedLoginAdmin(ReadOnly):
    """Rows of django-axes, without the submitted data. The account's page lifts a lockout."""

    list_display = fields = [
        "username",
        "ip_address",
        "failures_since_start",
        "attempt_time",
        "user_agent",
    ]
    search_fields = ["username", "ip_address"]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    list_display = ["at", "actor", "verb", "thing", "project"]
    list_filter = ["verb", "project"]
    list_select_related = ["actor", "project"]
    search_fields = ["thing", "actor__email"]
    date_hierarchy = "at"


@admin.register(Receipt)
class ReceiptAdmin(ReadOnly):
    list_display = ["created_at", "user", "key", "result"]
    list_select_related = ["user"]


@admin.register(Webhook)
class WebhookAdmin(ReadOnly):
    list_display = ["url", "project", "state", "failing_since", "created_by"]
    list_filter = ["state", "project"]
    list_select_related = ["project", "created_by"]
    search_fields = ["url"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ["created_at", "event", "webhook", "state", "status", "attempts", "next_at"]
    list_filter = ["state", "event"]
    list_select_related = ["webhook"]
    search_fields = ["event_id"]


@admin.register(Letter)
class LetterAdmin(ReadOnly):
    """E-mail, without its text, which may hold an invitation or a reset link."""

    list_display = ["created_at", "to", "subject", "state", "attempts", "next_at", "error"]
    list_filter = ["state"]
    search_fields = ["to"]
    fields = [
        "created_at",
        "to",
        "subject",
        "state",
        "attempts",
        "next_at",
        "error",
        "sent_at",
        "useful_until",
    ]
