"""Accounts, projects, memberships, invitations, tokens, audit events, webhooks and e-mail."""

import uuid
import zoneinfo
from datetime import datetime, time, timedelta

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from people.public_urls import proper_address


def known_zone(name: str) -> None:
    """Raises ValidationError unless `name` is a time zone of the IANA database."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("There is no time zone of this name; try Europe/Berlin or UTC."))


class UserManager(BaseUserManager):
    def create_user(self, email: str, password: str | None = None, **fields) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email: str) -> "User":
        return self.get(email=email.strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """An account. Its UUID never changes and is never shown: datasets sort judgments by it."""

    class State(models.TextChoices):
        INVITED = "invited", _("invited: has not logged in yet")
        ACTIVE = "active", _("active: may log in")
        PAUSED = "paused", _("paused: may not log in until set active")
        LEFT = "left", _("left: the account is closed, its work stays")

    class Theme(models.TextChoices):
        SYSTEM = "system", _("as the device is set")
        LIGHT = "light", _("light")
        DARK = "dark", _("dark")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ACTIVE)
    is_staff = models.BooleanField(
        _("administrator of the site"),
        default=False,
        help_text=_("May open the back office and create projects."),
    )
    simulated = models.BooleanField(
        _("simulated"),
        default=False,
        help_text=_("A script, not a person: its rankings are marked as simulated."),
    )
    zone = models.CharField(_("time zone"), max_length=50, default="UTC", validators=[known_zone])
    language = models.CharField(_("language"), max_length=10, default="en")
    theme = models.CharField(_("theme"), max_length=6, choices=Theme, default=Theme.SYSTEM)
    sensitive = models.BooleanField(
        _("sensitive content"),
        default=False,
        help_text=_(
            "I am willing to judge prompts and answers with sexual, violent or hateful content."
        ),
    )
    shortcuts = models.BooleanField(
        _("single-key shortcuts"),
        default=True,
        help_text=_("Type the order, rate and skip with single keys."),
    )
    keys = models.JSONField(
        default=dict, blank=True, help_text=_("Keys that differ from the standard ones, by verb.")
    )
    desk = models.JSONField(
        default=dict, blank=True, help_text=_("How answers are laid out for this person.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    LET_IN = (State.ACTIVE, State.INVITED)
    USERNAME_FIELD = "email"
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(email=Lower("email")), name="an_email_is_kept_in_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        self.email = self.email.strip().lower()

    @property
    def is_active(self) -> bool:
        return self.state in self.LET_IN

    @property
    def initials(self) -> str:
        return str(self)[:1].upper()


# How browsers and systems call themselves: the first match counts, for many name others too.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


class LoginSession(models.Model):
    """A browser in which somebody is logged in. It ends with Django's session."""

    LONGEST = 300  # characters of an agent that are kept

    session = models.OneToOneField("sessions.Session", models.CASCADE, related_name="login")
    user = models.ForeignKey(User, models.CASCADE, related_name="logins")
    address = models.GenericIPAddressField(
        null=True, help_text=_("The last one; none where the server named none.")
    )
    agent = models.CharField(max_length=LONGEST, blank=True, help_text=_("As it calls itself."))
    seen_at = models.DateTimeField(help_text=_("Within ten minutes of the last request."))

    def __str__(self) -> str:
        return str(self.device)

    @property
    def device(self) -> str:
        """The browser and its system, or the first word of an agent that is no known browser."""
        browser = next((name for mark, name in BROWSERS.items() if mark in self.agent), "")
        system = next((name for mark, name in SYSTEMS.items() if mark in self.agent), "")
        if browser and system:
            return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
        return browser or self.agent.partition(" ")[0] or _("unknown device")


class Project(models.Model):
    """One loop: its prompts, members and models. Everything except shared base models has one."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft: only admins see it")
        OPEN = "open", _("open: labelers can work")
        PAUSED = "paused", _("paused: nobody is given new tasks")
        ARCHIVED = "archived", _("archived: read-only; datasets still download")

    slug = models.SlugField(
        _("short name"), unique=True, help_text=_("In addresses: letters, digits and hyphens.")
    )
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    guidelines = models.TextField(
        _("guidelines"), blank=True, help_text=_("What good answers are; Markdown.")
    )
    zone = models.CharField(_("time zone"), max_length=50, default="UTC", validators=[known_zone])
    awaited = models.JSONField(
        default=list, editable=False, help_text=_("Events that its active webhooks wait for.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name

    def day(self) -> tuple[datetime, datetime]:
        """The start and the end of today in the project's time zone."""
        zone = zoneinfo.ZoneInfo(self.zone)
        today = timezone.localdate(timezone=zone)
        tomorrow = today + timedelta(days=1)
        return datetime.combine(today, time.min, zone), datetime.combine(tomorrow, time.min, zone)


class Membership(models.Model):
    """One person's role in one project."""

    class Role(models.TextChoices):
        LABELER = "labeler", _("labeler: ranks")
        LEAD = "lead", _("lead: ranks, sees people and quality, and adjudicates")
        RESEARCHER = "researcher", _("researcher: freezes and downloads datasets")
        ADMIN = "admin", _("admin: runs the project")

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        User, models.CASCADE, related_name="memberships", verbose_name=_("person")
    )
    role = models.CharField(_("role"), max_length=12, choices=Role, default=Role.LABELER)
    paused = models.BooleanField(
        _("paused"), default=False, help_text=_("Is given no new tasks here.")
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="a_person_has_one_role_in_a_project"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {self.role}"


class Invitation(models.Model):
    """A link that lets one person in, once, until it expires. Only its token's hash is kept."""

    class State(models.TextChoices):
        OPEN = "open", _("open: its link lets one person in until it expires")
        USED = "used", _("used: somebody came in by it")
        WITHDRAWN = "withdrawn", _("withdrawn: its link lets nobody in")

    email = models.EmailField(_("e-mail"))
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="invitations")
    role = models.CharField(
        _("role"), max_length=12, choices=Membership.Role, default=Membership.Role.LABELER
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    invited_by = models.ForeignKey(
        User, models.PROTECT, related_name="+", verbose_name=_("invited by")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(email=Lower("email")), name="an_invitation_is_to_a_lower_case_email"
            ),
            models.UniqueConstraint(
                fields=["project", "email"],
                condition=Q(state="open"),
                name="an_email_has_one_open_invitation_to_a_project",
            ),
            models.UniqueConstraint(
                fields=["email"],
                condition=Q(state="open", project=None),
                name="an_email_has_one_open_invitation_to_the_site",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.project or 'Podium'}"

    @property
    def expired(self) -> bool:
        return self.expires_at <= timezone.now()


class Token(models.Model):
    """An API token of a user, limited to its scopes. Only its hash is stored."""

    class Scope(models.TextChoices):
        READ = "read", _("read: look at what its owner may see")
        LABEL = "label", _("label: rank and write")
        LAUNCH = "launch", _("launch: start and stop jobs, freeze datasets")
        ADMIN = "admin", _("admin: all else that its owner may do")

    IMPLIED = {
        Scope.LABEL: {Scope.READ},
        Scope.LAUNCH: {Scope.READ},
        Scope.ADMIN: {Scope.READ, Scope.LAUNCH},
    }

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100)
    scopes = models.JSONField(_("scopes"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    start = models.CharField(
        max_length=20, help_text=_("Its first characters, by which its owner knows it.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    def __str__(self) -> str:
        return self.name

    def reaches(self, scope: str) -> bool:
        """Whether the token has this scope, or one that implies it."""
        return any(scope == own or scope in self.IMPLIED.get(own, ()) for own in self.scopes)


class AuditEvent(models.Model):
    """Who did what to which object, and when. Saved in the action's transaction; never changed."""

    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="+")
    verb = models.CharField(max_length=40)
    thing = models.CharField(max_length=80)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["project", "-at"], name="events_of_a_project")]

    def __str__(self) -> str:
        return f"{self.actor or 'Podium'} {self.verb} {self.thing}"


class Installation(models.Model):
    """The one row about all hosts that share this database."""

    ONLY = 1  # its primary key

    key_fingerprint = models.CharField(max_length=64, help_text=_("Of the secret key."))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="there_is_one_installation"),
        ]

    def __str__(self) -> str:
        return "installation"


class Receipt(models.Model):
    """The result of a request by its idempotency key: a repeated one gets the same result."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.UUIDField()
    result = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="a_form_counts_once")]

    def __str__(self) -> str:
        return str(self.key)


class Webhook(models.Model):
    """A URL that subscribes to events of a project.

    Its secret is derived from its salt and the site's secret key; the database does not hold it.
    """

    class Event(models.TextChoices):
        RANKING_SUBMITTED = "ranking.submitted", _("a ranking was submitted, or revised")
        TASK_COMPLETE = "task.complete", _("the last place of a task was filled")
        JOB_FINISHED = "job.finished", _("a job ended: done, failed or cancelled")
        VERSION_PROMOTED = "version.promoted", _("a model version was promoted")
        DATASET_FROZEN = "dataset.frozen", _("a new dataset was frozen")

    class State(models.TextChoices):
        ACTIVE = "active", _("active: is told of its events")
        OFF = "off", _("off: an admin switched it off")
        GONE = "gone", _("off: its server answered that it is gone (410)")
        FAILING = "failing", _("off: nothing had arrived there for five days")

    project = models.ForeignKey(Project, models.CASCADE, related_name="webhooks")
    url = models.CharField(_("address"), max_length=500, validators=[proper_address])
    events = models.JSONField(_("events"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ACTIVE)
    failing_since = models.DateTimeField(
        null=True, help_text=_("The first failure since something last arrived.")
    )
    salt = models.UUIDField(default=uuid.uuid4, editable=False)
    former_salt = models.UUIDField(
        null=True, editable=False, help_text=_("Signs too, for a day after a renewal.")
    )
    renewed_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        User, models.PROTECT, related_name="+", verbose_name=_("made by")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.url

    @property
    def active(self) -> bool:
        return self.state == self.State.ACTIVE


class Delivery(models.Model):
    """The delivery of one event to one webhook, saved in the transaction of the action."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting: not sent yet")
        DELIVERED = "delivered", _("delivered: its server took it")
        FAILED = "failed", _("failed: is sent again later")
        GIVEN_UP = "given_up", _("given up: is not sent again by itself")

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    event = models.CharField(_("event"), max_length=30)
    event_id = models.CharField(
        max_length=40, help_text=_("The same at each attempt: who gets it twice knows it by this.")
    )
    payload = models.JSONField()
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(
        default=timezone.now, null=True, help_text=_("Not sent before; none: not again.")
    )
    leased_until = models.DateTimeField(
        null=True, help_text=_("Until then one worker has it, if it lives.")
    )
    status = models.PositiveSmallIntegerField(
        null=True, help_text=_("What its server answered last.")
    )
    error = models.CharField(max_length=300, blank=True)
    response = models.CharField(max_length=1000, blank=True)
    seconds = models.FloatField(null=True, help_text=_("That the last attempt took."))
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "event_id"], name="an_event_is_told_once_to_a_webhook"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "failed"], next_at__isnull=False)
                | Q(state__in=["delivered", "given_up"], next_at=None),
                name="what_is_still_to_be_sent_has_its_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="deliveries_to_be_sent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"

    @property
    def about(self) -> str:
        """The object's API path below the project: `rankings/5`."""
        return self.payload["data"]["address"].split("/", 5)[-1]


class Letter(models.Model):
    """An e-mail. Its text may hold a link that lets somebody in: it is kept until it is sent."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting: not sent yet")
        SENT = "sent", _("sent: the mail server took it")
        FAILED = "failed", _("failed: is sent again later")
        GIVEN_UP = "given_up", _("given up: is not sent again")

    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    to = models.EmailField(_("to"))
    subject = models.CharField(_("subject"), max_length=300)
    body = models.TextField(blank=True, editable=False)
    useful_until = models.DateTimeField(
        help_text=_("Until then its links lead somewhere; it is not sent later.")
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(
        _("next attempt"),
        default=timezone.now,
        null=True,
        help_text=_("Not sent before; none: not again."),
    )
    leased_until = models.DateTimeField(
        null=True, help_text=_("Until then one worker has it, if it lives.")
    )
    error = models.CharField(_("error"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("written"), default=timezone.now, db_index=True)
    sent_at = models.DateTimeField(_("sent"), null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "failed"], next_at__isnull=False)
                | Q(state__in=["sent", "given_up"], next_at=None, body=""),
                name="a_letter_has_its_text_and_its_time_until_it_ends",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="letters_to_be_sent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.to})"
