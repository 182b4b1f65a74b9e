import zoneinfo

from django.utils import timezone, translation


class OwnSettings:
    """Times are stored in UTC and shown in the person's zone; texts are in the language that they chose."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not request.user.is_authenticated:
            return self.get_response(request)
        translation.activate(request.user.language)  # Django's LocaleMiddleware begins each request anew
        with timezone.override(zoneinfo.ZoneInfo(request.user.zone)):
            return self.get_response(request)
