"""Failed log-ins are counted by django-axes, for each e-mail from each address; too many lock both
together for a while.
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
    """The e-mail that somebody tries to log in with, as accounts keep it."""
    typed = (credentials or {}).get("username") or request.POST.get("username") or ""
    return typed.strip().lower()[:254]


def address(request: HttpRequest) -> str | None:
    """Where the request comes from; None when the server or a proxy did not say so in the usual
    form.
    """
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def locks(email: str, **at) -> list[dict]:
    """The addresses from which this e-mail is locked out, each with the minutes that are left."""
    fresh = AccessAttempt.objects.filter(
        username=email, attempt_time__gt=now() - get_cool_off(), **at
    )
    sums = (
        fresh.order_by()
        .values("ip_address")
        .annotate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
    )
    locked = sums.filter(failures__gte=settings.AXES_FAILURE_LIMIT).order_by("ip_address")
    return [{"address": one["ip_address"], "minutes": _minutes_left(one["last"])} for one in locked]


def _minutes_left(last) -> int:
    return max(1, math.ceil((last + get_cool_off() - now()).total_seconds() / 60))


def message(request: HttpRequest) -> str:
    """Why nobody gets in with this e-mail from here just now, and when to try again; empty while it
    is not locked.
    """
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
    """The page that the form made, which says so at its head, with the status of its own."""
    response.status_code = 429
    return response


@transaction.atomic
def lift(actor: User | None, user: User) -> None:
    """Let this person try again at once, from everywhere."""
    if reset(username=user.email):
        audit.record(actor, "lift log-in lock", user)


@receiver(user_locked_out)
def remember(sender, request: HttpRequest, username: str, ip_address: str | None, **_) -> None:
    """Leave an event for the failure that locks; tries during the lock, which carry no count, leave
    none.
    """
    user = (
        User.objects.filter(email=username).first() if request.axes_failures_since_start else None
    )
    if user is not None:
        audit.record(None, "lock log-in", user, address=ip_address)
