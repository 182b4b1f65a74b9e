import zoneinfo

from django.utils import timezone


class OwnZone:
    """Times are stored in UTC and shown in the person's zone."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated:
            with timezone.override(zoneinfo.ZoneInfo(request.user.zone)):
                return self.get_response(request)
        return self.get_response(request)
