"""Below /api/v1/."""

urlpatterns = []
