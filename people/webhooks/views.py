"""Pages for a project's webhooks: create, change, switch and remove them; list their deliveries."""

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
from people.forms import IdempotentForm, WebhookForm
from people.models import Delivery, Webhook
from people.webhooks import registry

PER_PAGE = 50


def of_project(request: HttpRequest) -> QuerySet[Webhook]:
    """The webhooks of the request's project."""
    return Webhook.objects.filter(project=request.project).select_related("project", "created_by")


def webhook_or_404(request: HttpRequest, pk: int) -> Webhook:
    """A webhook of the request's project. Raises Http404."""
    return get_object_or_404(of_project(request), pk=pk)


@member(*ADMINS)
@never_cache
def webhook_list(request: HttpRequest) -> HttpResponse:
    """The project's webhooks. The form creates one; its secret is shown once."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _create(request, form)
        except Refused as error:
            form.add_error(error.field, str(error))
    lost = Count("deliveries", filter=Q(deliveries__state=Delivery.State.GIVEN_UP))
    context = {"form": form, "webhooks": of_project(request).annotate(lost=lost).order_by("pk")}
    return render(
        request, "people/webhooks/webhooks.html", context, status=422 if form.errors else 200
    )


def _create(request: HttpRequest, form: WebhookForm) -> HttpResponse:
    """The page of the new webhook with its secret, which the receipt doesn't hold."""
    secret = ""  # stays empty when this form was sent before

    def make() -> dict[str, int]:
        nonlocal secret
        webhook, secret = registry.make(request.user, request.project, **form.values())
        return {"webhook": webhook.pk}

    registry.look_up(form.cleaned_data["url"])  # a DNS request: before the transaction
    result, _created = idempotency.once(request.user, form.cleaned_data["key"], make)
    return _page(request, webhook_or_404(request, result["webhook"]), shown=secret)


@member(*ADMINS)
@never_cache
@vary_on_headers("HX-Request")
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """A webhook, its form and its deliveries; only the deliveries for a request by htmx."""
    webhook = webhook_or_404(request, pk)
    # a copy, because validation changes the instance of a form
    form = WebhookForm(request.POST or None, instance=copy(webhook))
    if request.method == "POST" and form.is_valid():
        try:
            if "url" in form.changed_data:
                registry.look_up(form.cleaned_data["url"])
            registry.change(request.user, webhook, **form.values())
            messages.success(request, _("The webhook was saved."))
            return redirect("webhook", request.project.slug, pk)
        except Refused as error:
            form.add_error(error.field, str(error))
    return _page(request, webhook, form)


def _page(
    request: HttpRequest, webhook: Webhook, form: WebhookForm | None = None, **context: Any
) -> HttpResponse:
    form = form or WebhookForm(instance=webhook)
    if request.htmx:
        return render(request, "people/webhooks/_deliveries.html", log(request, webhook))
    context |= log(request, webhook) | {"form": form, "renew": IdempotentForm(auto_id=False)}
    return render(
        request, "people/webhooks/webhook.html", context, status=422 if form.errors else 200
    )


def log(request: HttpRequest, webhook: Webhook) -> dict[str, Any]:
    """A page of deliveries, newest first. The page polls while one of them is waiting."""
    deliveries = webhook.deliveries.order_by("-pk")
    state = request.GET.get("state", "")
    state = state if state in Delivery.State.values else ""
    if state:
        deliveries = deliveries.filter(state=state)
    page = Paginator(deliveries, PER_PAGE).get_page(request.GET.get("page"))
    moving = any(delivery.state == Delivery.State.WAITING for delivery in page)
    query = f"state={state}&" if state else ""
    listing = {"page": page, "state": state, "states": Delivery.State.choices, "query": query}
    return {"webhook": webhook, "moving": moving} | listing


@member(*ADMINS)
@require_POST
def webhook_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch the webhook on or off."""
    switch = registry.switch_on if request.POST.get("to") == "on" else registry.switch_off
    switch(request.user, webhook_or_404(request, pk))
    return redirect("webhook", request.project.slug, pk)


@member(*ADMINS)
@never_cache
@require_POST
def webhook_renew(request: HttpRequest, pk: int) -> HttpResponse:
    """Renew the secret and show the new one once. The same form sent again changes nothing."""
    webhook, form = webhook_or_404(request, pk), IdempotentForm(request.POST)
    secret = ""  # stays empty when this form was sent before

    def renew() -> dict:
        nonlocal secret
        secret = registry.renew_secret(request.user, webhook)
        return {}

    if form.is_valid():
        idempotency.once(request.user, form.cleaned_data["key"], renew)
    return _page(request, webhook, shown=secret)


@member(*ADMINS)
@require_POST
def webhook_ping(request: HttpRequest, pk: int) -> HttpResponse:
    registry.ping(request.user, webhook_or_404(request, pk))
    return redirect("webhook", request.project.slug, pk)


@member(*ADMINS)
@require_POST
def webhook_remove(request: HttpRequest, pk: int) -> HttpResponse:
    webhook = webhook_or_404(request, pk)
    registry.remove(request.user, webhook)
    messages.success(request, _("The webhook to %(url)s was removed.") % {"url": webhook.url})
    return redirect("webhooks", request.project.slug)


@member(*ADMINS)
@require_POST
def delivery_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a delivery again now."""
    deliveries = Delivery.objects.filter(webhook__project=request.project)
    delivery = get_object_or_404(deliveries.select_related("webhook__project"), pk=pk)
    try:
        registry.redeliver(request.user, delivery)
    except Refused as error:
        messages.error(request, str(error))
    return redirect("webhook", request.project.slug, delivery.webhook_id)
