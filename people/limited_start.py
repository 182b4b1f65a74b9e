"""What the server of limited processes loads: Django with all apps. See limited.py."""

import django

django.setup()
