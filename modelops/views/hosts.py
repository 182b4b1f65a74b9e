"""The hosts that work for this Podium, for administrators of the site."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from modelops import hosts
from people.access import Role, site_admin
from people.models import Membership

PER_PAGE = 30


@site_admin
@require_GET
@never_cache
def host_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(hosts.names(), PER_PAGE).get_page(request.GET.get("page"))
    described = hosts.described(list(page))
    administered = Membership.objects.filter(user=request.user, role=Role.ADMIN)
    workers = [worker for host in described for worker in host.workers]
    context = {
        "page": page,
        "hosts": described,
        "code": hosts.code(),
        "broker_is_away": any(worker.lives is None for worker in workers),
        # other projects have no pages for this administrator
        "may_open": set(administered.values_list("project_id", flat=True)),
    }
    return render(request, "modelops/hosts.html", context)
