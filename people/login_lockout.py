"""Log-in lockout: django-axes counts failed log-ins by e-mail and IP address.

Too many lock this pair of e-mail and address for a while. Failures with too many e-mails lock the
address: somebody tries one password on many accounts.
"""

from __future__ import annotations

import ipaddress
import math
from datetime import datetime
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from axes.signals import user_locked_out
from axes.utils import reset
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.db.models import Max, Sum
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.utils.translation import ngettext

from people import audit
from people.models import User


def email(request: HttpRequest, credentials: dict | None = None) -> str:
    """The e-mail of a log-in attempt, in the form that accounts store."""
    entered = (credentials or {}).get("username") or request.POST.get("username") or ""
    return entered.strip().lower()[:254]


def address(request: HttpRequest) -> str | None:
    """The IP address of the request; None where the server or a proxy reported no valid one."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


class Handler(AxesDatabaseHandler):
    """Refuses attempts from an address that is locked out, with whatever e-mail."""

    def is_locked(self, request: HttpRequest, credentials: dict | None = None) -> bool:
        locked = address_locked_at(address(request)) is not None
        return locked or super().is_locked(request, credentials)

    def user_login_failed(
        self, sender: Any, credentials: dict, request: HttpRequest = None, **kwargs
    ) -> None:
        """Count the failure; record an audit event for the one that locks its address."""
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is None or _is_during_lockout(request):
            return
        ip = address(request)
        if address_locked_at(ip) is not None:
            attempt = AccessAttempt.objects.filter(ip_address=ip).latest("pk")
            audit.record(None, "lock address", attempt, address=ip)


def address_locked_at(address: str | None) -> datetime | None:
    """When the address failed with as many e-mails as lock it; None where it is not locked.

    A server that names no address is not locked: all its users would be.
    """
    if address is None:
        return None
    recent = AccessAttempt.objects.filter(
        ip_address=address, attempt_time__gt=now() - get_cool_off()
    )
    by_email = recent.order_by().values("username").annotate(last=Max("attempt_time"))
    newest = by_email.order_by("-last").values_list("last", flat=True)[: settings.LOGIN_EMAILS]
    failures = list(newest)
    return failures[-1] if len(failures) == settings.LOGIN_EMAILS else None


def locks(email: str, **at) -> list[dict]:
    """The IP addresses that are locked out for this e-mail, each with the remaining minutes.

    `at` are further filters of AccessAttempt, such as ip_address.
    """
    recent = AccessAttempt.objects.filter(
        username=email, attempt_time__gt=now() - get_cool_off(), **at
    )
    by_address = (
        recent.order_by()
        .values("ip_address")
        .annotate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
    )
    locked = by_address.filter(failures__gte=settings.AXES_FAILURE_LIMIT).order_by("ip_address")
    return [
        {"address": lock["ip_address"], "minutes": _minutes_left(lock["last"])} for lock in locked
    ]


def _minutes_left(last_failure: datetime) -> int:
    remaining = last_failure + get_cool_off() - now()
    return max(1, math.ceil(remaining.total_seconds() / 60))


def message(request: HttpRequest) -> str:
    """What the log-in page says during a lockout; empty where there is none."""
    if not getattr(request, "axes_locked_out", False):
        return ""
    locked = locks(email(request), ip_address=address(request))
    minutes = max([lock["minutes"] for lock in locked], default=1)
    if of_address := address_locked_at(address(request)):
        minutes = max(minutes, _minutes_left(of_address))
    return ngettext(
        (
            "Too many failed log-ins. Try again in %(minutes)s minute, or ask an administrator of "
            "this site."
        ),
        (
            "Too many failed log-ins. Try again in %(minutes)s minutes, or ask an administrator of "
            "this site."
        ),
        minutes,
    ) % {"minutes": minutes}


def respond(
    request: HttpRequest, response: HttpResponse, credentials: dict | None = None
) -> HttpResponse:
    """Answer 429 with the log-in page, whose form already shows the message."""
    response.status_code = 429
    return response


@transaction.atomic
def lift(actor: User | None, user: User) -> None:
    """Lift all lockouts of this user."""
    if reset(username=user.email):
        audit.record(actor, "lift log-in lock", user)


@receiver(user_locked_out)
def remember(sender: Any, request: HttpRequest, username: str, ip_address: str | None, **_) -> None:
    """Record an audit event for the failure that starts a lockout.

    Attempts during the lockout also send this signal, but without a count; they are not recorded.
    """
    if not request.axes_failures_since_start:
        return
    user = User.objects.filter(email=username).first()
    if user is not None:
        audit.record(None, "lock log-in", user, address=ip_address)


@receiver(user_login_failed)
def record_failure(sender: Any, credentials: dict, request: HttpRequest | None = None, **_) -> None:
    """Record an audit event for a failed log-in to an account, but not for attempts during a
    lockout.
    """
    if request is None or _is_during_lockout(request):
        return
    user = User.objects.filter(email=email(request, credentials)).first()
    if user is not None:
        audit.record(None, "fail to log in", user, address=address(request))


def _is_during_lockout(request: HttpRequest) -> bool:
    """Whether the attempt was refused unseen. The one that starts a lockout has a count."""
    return request.axes_locked_out and not request.axes_failures_since_start
