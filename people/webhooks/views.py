"""The pages of a project's webhooks: make one, see what was sent, send it again, switch off, renew,
remove.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django.views.decorators.vary import vary_on_headers

from people import idempotency
from people.access import ADMINS, Refused, member
from people.forms import Keyed, WebhookForm
from people.models import Delivery, Webhook
from people.webhooks import registry

PER_PAGE = 50


def of_project(request: HttpRequest) -> QuerySet[Webhook]:
    return Webhook.objects.filter(project=request.project).select_related("project", "created_by")


def webhook_or_404(request: HttpRequest, pk: int) -> Webhook:
    return get_object_or_404(of_project(request), pk=pk)


@member(*ADMINS)
@never_cache
def webhook_list(request: HttpRequest) -> HttpResponse:
    """The project's webhooks; the form makes another one, whose secret is shown this once."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _made(request, form)
        except Refused as error:
            form.add_error(error.field, str(error))
    lost = Count("deliveries", filter=Q(deliveries__state=Delivery.State.GIVEN_UP))
    context = {"form": form, "webhooks": of_project(request).annotate(lost=lost).order_by("pk")}
    return render(
        request, "people/webhooks/webhooks.html", context, status=422 if form.errors else 200
    )


def _made(request: HttpRequest, form: WebhookForm) -> HttpResponse:
    """The page of the new webhook with its secret: the receipt does not keep it."""
    shown = []

    def make() -> dict[str, int]:
        webhook, secret = registry.make(request.user, request.project, **form.values())
        shown.append(secret)
        return {"webhook": webhook.pk}

    registry.look_up(form.cleaned_data["url"])  # it asks the net: before the transaction
    result, _new = idempotency.once(request.user, form.cleaned_data["key"], make)
    return _page(request, webhook_or_404(request, result["webhook"]), shown="".join(shown))


@member(*ADMINS)
@never_cache
@vary_on_headers("HX-Request")
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """A webhook and the log of what was sent to it; the log alone when htmx asks. The form changes
    it.
    """
    one = webhook_or_404(request, pk)
    form = WebhookForm(
        request.POST or None, instance=copy(one)
    )  # a form writes what was typed into its instance
    if request.method == "POST" and form.is_valid():
        try:
            if "url" in form.changed_data:
                registry.look_up(form.cleaned_data["url"])
            registry.change(request.user, one, **form.values())
            messages.success(request, _("The webhook is saved."))
            return redirect("webhook", request.project.slug, pk)
        except Refused as error:
            form.add_error(error.field, str(error))
    return _page(request, one, form)


def _page(
    request: HttpRequest, one: Webhook, form: WebhookForm | None = None, **context: Any
) -> HttpResponse:
    form = form or WebhookForm(instance=one)
    if request.htmx:
        return render(request, "people/webhooks/_deliveries.html", log(request, one))
    context |= log(request, one) | {"form": form, "renew": Keyed(auto_id=False)}
    return render(
        request, "people/webhooks/webhook.html", context, status=422 if form.errors else 200
    )


def log(request: HttpRequest, one: Webhook) -> dict[str, Any]:
    """What was sent, newest first; while something is on its way the page looks again."""
    found, state = one.deliveries.order_by("-pk"), request.GET.get("state", "")
    state = state if state in Delivery.State.values else ""
    if state:
        found = found.filter(state=state)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    moving = any(delivery.state == Delivery.State.WAITING for delivery in page)
    query = f"state={state}&" if state else ""
    shown = {"page": page, "state": state, "states": Delivery.State.choices, "query": query}
    return {"webhook": one, "moving": moving} | shown


@member(*ADMINS)
@require_POST
def webhook_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """On or off, as the button said."""
    verb = registry.switch_on if request.POST.get("to") == "on" else registry.switch_off
    verb(request.user, webhook_or_404(request, pk))
    return redirect("webhook", request.project.slug, pk)


@member(*ADMINS)
@never_cache
@require_POST
def webhook_renew(request: HttpRequest, pk: int) -> HttpResponse:
    """A new secret, shown this once; the same form again makes no other one."""
    one, form, shown = webhook_or_404(request, pk), Keyed(request.POST), []

    def renew() -> dict:
        shown.append(registry.renew_secret(request.user, one))
        return {}

    if form.is_valid():
        idempotency.once(request.user, form.cleaned_data["key"], renew)
    return _page(request, one, shown="".join(shown))


@member(*ADMINS)
@require_POST
def webhook_ping(request: HttpRequest, pk: int) -> HttpResponse:
    registry.ping(request.user, webhook_or_404(request, pk))
    return redirect("webhook", request.project.slug, pk)


@member(*ADMINS)
@require_POST
def webhook_remove(request: HttpRequest, pk: int) -> HttpResponse:
    one = webhook_or_404(request, pk)
    registry.remove(request.user, one)
    messages.success(request, _("The webhook to %(url)s is removed.") % {"url": one.url})
    return redirect("webhooks", request.project.slug)


@member(*ADMINS)
@require_POST
def delivery_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send it once more, now."""
    found = Delivery.objects.select_related("webhook__project").filter(
        webhook__project=request.project
    )
    delivery = get_object_or_404(found, pk=pk)
    try:
        registry.redeliver(request.user, delivery)
    except Refused as error:
        messages.error(request, str(error))
    return redirect("webhook", request.project.slug, delivery.webhook_id)
