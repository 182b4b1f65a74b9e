"""Log-in lockout: django-axes counts failed log-ins by e-mail and IP address.

Too many lock this pair of e-mail and address for a while.
"""

from __future__ import annotations

import ipaddress
import math

from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from axes.signals import user_locked_out
from axes.utils import reset
from django.conf import settings
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


def _minutes_left(last_failure) -> int:
    remaining = last_failure + get_cool_off() - now()
    return max(1, math.ceil(remaining.total_seconds() / 60))


def message(request: HttpRequest) -> str:
    """What the log-in page says during a lockout; empty where there is none."""
    if not getattr(request, "axes_locked_out", False):
        return ""
    locked = locks(email(request), ip_address=address(request))
    minutes = locked[0]["minutes"] if locked else 1
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
def remember(sender, request: HttpRequest, username: str, ip_address: str | None, **_) -> None:
    """Record an audit event for the failure that starts a lockout.

    Attempts during the lockout also send this signal, but without a count; they are not recorded.
    """
    if not request.axes_failures_since_start:
        return
    user = User.objects.filter(email=username).first()
    if user is not None:
        audit.record(None, "lock log-in", user, address=ip_address)
