"""Every setting of Podium. Each environment variable is read here, once, beside the sentence that
describes it.

docs/operator.md lists the same variables; a test fails when one is missing there.
"""

import re
from datetime import timedelta
from pathlib import Path

from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import environment
from config.environment import refuse

BASE_DIR = Path(__file__).resolve().parent.parent
env = environment.Variables()

# The data folder: database, datasets, models, uploads, logs of runs. Everything worth a backup lies
# in it.
VAR = env.path("PODIUM_VAR", BASE_DIR / "var").resolve()
# Where files lie that every host needs: a folder that all of them see, or s3://bucket/prefix of any
# S3-compatible server. Without one, the folder `store` in the data folder.
STORE = env.str("PODIUM_STORE", "")
# Bytes of the disk for what this host fetches from a bucket.
STORE_CACHE = env.int("PODIUM_STORE_CACHE", 50 * 2**30)
# Where browsers reach the bucket's server (https://s3.example): datasets are then downloaded from
# there, at addresses signed for five minutes. Without it they go through the web server.
SIGNED_DOWNLOADS = env.str("PODIUM_SIGNED_DOWNLOADS", "").rstrip("/")
# The port that the web server listens on.
PORT = env.int("PODIUM_PORT", 8000)
# The address that the web server listens on; 0.0.0.0 opens it to the network.
HOST = env.str("PODIUM_HOST", "127.0.0.1")
# The path of the site, where a proxy serves other sites beside it: /podium for
# https://example.org/podium/.
PATH = env.str("PODIUM_PATH", "").rstrip("/")
# 1 switches the production profile: no demo accounts, secure cookies, and a refusal to start with
# unsafe settings.
PRODUCTION = env.bool("PODIUM_PRODUCTION", False)
# 1 shows tracebacks in the browser; never in production.
DEBUG = env.bool("PODIUM_DEBUG", False)
# Signs sessions and form tokens. Without one, `make up` makes a random one in the data folder.
SECRET_KEY = env.str("PODIUM_SECRET_KEY", "")
# Host names that the site answers to, with commas between them.
ALLOWED_HOSTS = env.list("PODIUM_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
# Origins whose forms are trusted behind a proxy (https://podium.example), with commas between them.
CSRF_TRUSTED_ORIGINS = env.list("PODIUM_TRUSTED_ORIGINS", default=[])
# The database as a URL (postgres://user:password@host/name). Without one: SQLite in the data
# folder.
DATABASE_URL = env.str("DATABASE_URL", "")
# The broker as a URL (redis://host:6379/0). Without one, `make up` starts its own.
REDIS_URL = env.str("REDIS_URL", "")
# The model that a first run registers: `smollm2`, or a local folder below PODIUM_MODEL_ROOTS.
MODEL = env.str("PODIUM_MODEL", "smollm2")
# Folders below which local models may be registered, with colons between them.
MODEL_ROOTS = env.folders("PODIUM_MODEL_ROOTS", VAR / "models")
# 0 starts without the demo project and its accounts.
DEMO = env.bool("PODIUM_DEMO", not PRODUCTION)
# Seconds between two heartbeats of a running job.
BEAT_SECONDS = env.float("PODIUM_BEAT_SECONDS", 5)
# Seconds without a heartbeat after which a running job is taken over.
SILENT_SECONDS = env.float("PODIUM_SILENT_SECONDS", 60)
# Seconds between two sweeps for waiting jobs, silent jobs and expired leases.
SWEEP_SECONDS = env.float("PODIUM_SWEEP_SECONDS", 30)
# Days that uploads, files made for downloads, receipts of forms and requests, and the logs of
# webhooks and e-mail are kept.
KEEP_DAYS = env.int("PODIUM_KEEP_DAYS", 30)
# Seconds without an event after which a trainer is taken for hung and killed.
CHILD_SILENT_SECONDS = env.float("PODIUM_CHILD_SILENT_SECONDS", 900)
# Hosts of model servers that may be asked without https and on private addresses (127.0.0.1:8001),
# with commas between them.
ENGINE_HOSTS = env.list("PODIUM_ENGINE_HOSTS", default=[])
# API keys of model servers by host (models.example=key,127.0.0.1:8001=key), with commas between
# them.
ENGINE_KEYS = env.dict("PODIUM_ENGINE_KEYS")
# The Hugging Face Hub, or a server that speaks its protocol.
HUB_ENDPOINT = env.str("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
# Token for private and gated repositories of the Hub, and to push; it is sent to HF_ENDPOINT alone.
HUB_TOKEN = env.str("HF_TOKEN", "")
# Number format that models compute in here, where a job's recipe says auto: float32, bfloat16 or
# float16; auto takes bfloat16 where the machine has instructions for it, and float32 elsewhere.
DTYPE = env.str("PODIUM_DTYPE", "auto")
# Requests that one sampling job sends to a model server at once.
ENGINE_REQUESTS = env.int("PODIUM_ENGINE_REQUESTS", 8)
# Devices that jobs compute on: auto (all GPUs of NVIDIA's driver, or the processor), cpu, or names
# of GPUs as in CUDA_VISIBLE_DEVICES (0,1), with commas between them.
DEVICES = env.str("PODIUM_DEVICES", "auto")
# Workers that sample, and workers that train, which `make up` starts: auto (one of each a device),
# or a number.
WORKERS = env.str("PODIUM_WORKERS", "auto")
EVERY_ROLE = ["web", "default", "sampling", "training"]
# What `make up` starts on this host: all of it, or some of web, default, sampling and training,
# where several hosts share a database and a broker.
ROLES = env.list("PODIUM_ROLES", EVERY_ROLE)
# The lock file that keeps two torch processes of one device apart: of the processor; of a GPU with
# -NAME after it.
MACHINE_LOCK = env.path("PODIUM_MACHINE_LOCK", VAR / "machine.lock")
# Requests that one person's scripts may send to the API, as a number by second, minute, hour or
# day.
API_RATE = env.str("PODIUM_API_RATE", "1200/min")
# 1 lets webhooks go to private addresses too, and to servers without https.
WEBHOOK_PRIVATE = env.bool("PODIUM_WEBHOOK_PRIVATE", False)
# Largest uploaded file, in bytes.
UPLOAD_LIMIT = env.int("PODIUM_UPLOAD_LIMIT", 64 * 2**20)
# Memory that the reading of one file may take, in MB, in a process of its own.
READ_MEMORY = env.int("PODIUM_READ_MEMORY", 1024)
# Seconds of a processor that the reading of one file may take.
READ_SECONDS = env.int("PODIUM_READ_SECONDS", 3600)
# Where e-mail goes, as a URL (smtp+tls://user:password@host:587). Without one it is printed, not
# sent.
EMAIL_URL = env.str("EMAIL_URL", "consolemail://")
# Whom e-mail comes from.
DEFAULT_FROM_EMAIL = env.str("PODIUM_EMAIL_FROM", "Podium <podium@localhost>")
# Days until an invitation link expires.
INVITATION_DAYS = env.int("PODIUM_INVITATION_DAYS", 7)
# Failed log-ins with one e-mail from one address, after which both together are locked out for a
# while.
LOGIN_FAILURES = env.int("PODIUM_LOGIN_FAILURES", 10)
# E-mails with failed log-ins from one address, after which the address is locked out for a while.
LOGIN_EMAILS = env.int("PODIUM_LOGIN_EMAILS", 20)
# Minutes that such a lock lasts.
LOGIN_LOCK_MINUTES = env.int("PODIUM_LOGIN_LOCK_MINUTES", 15)
# Addresses of proxies whose X-Forwarded-For is believed, with commas between them; networks like
# 10.0.0.0/8 too.
TRUSTED_PROXIES = env.list("PODIUM_TRUSTED_PROXIES", default=["127.0.0.1", "::1"])
# Lines of the log: text, or json with a line for each request, too.
LOGS = env.str("PODIUM_LOGS", "text")
# Token with which Prometheus reads /metrics; without one, /metrics is 404 for everybody.
METRICS_TOKEN = env.str("PODIUM_METRICS_TOKEN", "")
# When backups are made, in UTC and as cron writes it (0 3 * * *); without it, none by themselves.
BACKUP_CRON = env.str("PODIUM_BACKUP_CRON", "")
# Where these backups lie: better on another disk. Without one, `backups` in the data folder.
BACKUP_FOLDER = env.path("PODIUM_BACKUP_FOLDER", VAR / "backups")
# Of these backups, how many are kept.
BACKUPS_KEPT = env.int("PODIUM_BACKUPS_KEPT", 7)
# The file of the tests' SQLite database.
TEST_DATABASE = env.path("PODIUM_TEST_DATABASE", VAR / "test.sqlite3")

# What each of them may be. The URLs of the database and of e-mail are checked where they are read.
environment.folder("PODIUM_VAR", VAR)
environment.matching("PODIUM_STORE", [STORE], environment.STORE, "a folder or s3://bucket/prefix")
if STORE and not STORE.startswith("s3://"):
    STORE = str(Path(STORE).resolve())
    environment.folder("PODIUM_STORE", Path(STORE))
environment.matching(
    "PODIUM_SIGNED_DOWNLOADS",
    [SIGNED_DOWNLOADS],
    rf"(https?://{environment.HOST})?",
    "an origin like https://s3.example, which has no path",
)
refuse(
    "PODIUM_SIGNED_DOWNLOADS",
    bool(SIGNED_DOWNLOADS) and not STORE.startswith("s3://"),
    "only a bucket has signed addresses: set PODIUM_STORE to one, or unset this",
)
environment.within("PODIUM_PORT", PORT, 2**16 - 1)
environment.matching("PODIUM_HOST", [HOST], environment.LISTENING, "a host name or an address")
environment.matching("PODIUM_PATH", [PATH], environment.PATH, "a path like /podium")
environment.matching(
    "PODIUM_ALLOWED_HOSTS",
    ALLOWED_HOSTS,
    environment.ALLOWED_HOST,
    "a host name without scheme and port, like podium.example or [::1]",
)
environment.matching(
    "PODIUM_TRUSTED_ORIGINS",
    CSRF_TRUSTED_ORIGINS,
    environment.ORIGIN,
    "an origin like https://podium.example, which has no path",
)
if REDIS_URL:
    environment.broker("REDIS_URL", REDIS_URL)
refuse("PODIUM_MODEL", not MODEL.strip(), "is empty; leave it away for smollm2")
for name, value, highest in [
    ("PODIUM_BEAT_SECONDS", BEAT_SECONDS, environment.YEAR),
    ("PODIUM_SILENT_SECONDS", SILENT_SECONDS, environment.YEAR),
    ("PODIUM_SWEEP_SECONDS", SWEEP_SECONDS, environment.YEAR),
    ("PODIUM_KEEP_DAYS", KEEP_DAYS, 36_500),
    ("PODIUM_BACKUPS_KEPT", BACKUPS_KEPT, 36_500),
    ("PODIUM_CHILD_SILENT_SECONDS", CHILD_SILENT_SECONDS, environment.YEAR),
    ("PODIUM_ENGINE_REQUESTS", ENGINE_REQUESTS, 1000),
    ("PODIUM_STORE_CACHE", STORE_CACHE, 2**50),
    ("PODIUM_UPLOAD_LIMIT", UPLOAD_LIMIT, 2**40),
    ("PODIUM_READ_MEMORY", READ_MEMORY, 2**20),
    ("PODIUM_READ_SECONDS", READ_SECONDS, 10**6),
    ("PODIUM_INVITATION_DAYS", INVITATION_DAYS, 36_500),
    ("PODIUM_LOGIN_FAILURES", LOGIN_FAILURES, 10**6),
    ("PODIUM_LOGIN_EMAILS", LOGIN_EMAILS, 10**6),
    ("PODIUM_LOGIN_LOCK_MINUTES", LOGIN_LOCK_MINUTES, environment.YEAR / 60),
]:
    environment.within(name, value, highest)
refuse("PODIUM_SILENT_SECONDS", SILENT_SECONDS <= BEAT_SECONDS, "must be above PODIUM_BEAT_SECONDS")
environment.matching(
    "PODIUM_ENGINE_HOSTS", ENGINE_HOSTS, environment.HOST, "like models.example or 127.0.0.1:8001"
)
environment.matching(
    "PODIUM_ENGINE_KEYS", list(ENGINE_KEYS), environment.HOST, "a host like models.example"
)
environment.printable("PODIUM_ENGINE_KEYS", list(ENGINE_KEYS.values()))
environment.web_address("HF_ENDPOINT", HUB_ENDPOINT)
environment.printable("HF_TOKEN", [HUB_TOKEN])
environment.matching(
    "PODIUM_DTYPE", [DTYPE], "auto|float32|bfloat16|float16", "auto, float32, bfloat16 or float16"
)
environment.matching(
    "PODIUM_DEVICES", [DEVICES], environment.DEVICES, "auto, cpu, or names of GPUs like 0,1"
)
environment.matching(
    "PODIUM_WORKERS", [WORKERS], r"auto|[1-9]\d{0,2}", "auto, or a number from 1 to 999"
)
environment.matching(
    "PODIUM_ROLES", ROLES, "web|default|sampling|training", "web, default, sampling or training"
)
refuse("PODIUM_ROLES", not ROLES, "is empty")
environment.file("PODIUM_MACHINE_LOCK", MACHINE_LOCK)
environment.matching(
    "PODIUM_API_RATE",
    [API_RATE],
    environment.RATE,
    "a number by second, minute, hour or day, like 1200/min",
)
if BACKUP_CRON:
    environment.cron("PODIUM_BACKUP_CRON", BACKUP_CRON)
environment.folder("PODIUM_BACKUP_FOLDER", BACKUP_FOLDER)
environment.matching("PODIUM_LOGS", [LOGS], "text|json", "text or json")
environment.printable("PODIUM_METRICS_TOKEN", [METRICS_TOKEN])
refuse("PODIUM_METRICS_TOKEN", 0 < len(METRICS_TOKEN) < 16, "has fewer than 16 characters")
environment.sender("PODIUM_EMAIL_FROM", DEFAULT_FROM_EMAIL)
environment.networks("PODIUM_TRUSTED_PROXIES", TRUSTED_PROXIES)
environment.file("PODIUM_TEST_DATABASE", TEST_DATABASE)

if not SECRET_KEY:
    secret = VAR / "secret"
    SECRET_KEY = secret.read_text().strip() if secret.exists() and not PRODUCTION else ""
if not SECRET_KEY and not PRODUCTION:
    SECRET_KEY = "only-until-make-up-writes-a-random-one-into-the-data-folder"
if PRODUCTION:
    refuse("PODIUM_SECRET_KEY", len(SECRET_KEY) < 50, "set a random text of at least 50 characters")
    refuse("PODIUM_DEBUG", DEBUG, "must not be set in production")
    refuse(
        "PODIUM_ALLOWED_HOSTS", "*" in ALLOWED_HOSTS, "name the hosts, * is refused in production"
    )

INSTALLED_APPS = [
    "people",
    "modelops",
    "labeling",
    "workers",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "axes",
]
MIDDLEWARE = [
    "people.logs.LogRequests",
    "people.metrics.CountRequests",
    "people.middleware.BelowPath",
    "people.middleware.SchemeSaid",
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFiles",
    # adds random padding, so that response sizes don't reveal tokens (BREACH)
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "people.middleware.OwnSettings",
    "people.middleware.LimitBodies",
    "modelops.middleware.StoreFaults",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.navigation.navigation",
            ],
            "builtins": ["django.templatetags.i18n", "django.templatetags.static"],
        },
    }
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "people.User"
# Addresses that programs on this machine ask for: without TLS, and below PODIUM_PATH or not.
ASKED_FROM_HERE = "healthz|livez|readyz|metrics"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
PASSWORD_RESET_TIMEOUT = 60 * 60 * 2

# django-axes counts failed log-ins; people/login_lockout.py defines the lockout.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "people.sessions.Accounts"]
AXES_HANDLER = "people.login_lockout.Handler"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_LOCK_MINUTES)
AXES_RESET_ON_SUCCESS = True
# Attempts during a lockout don't prolong it.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "people.login_lockout.email"
AXES_CLIENT_IP_CALLABLE = "people.login_lockout.address"
AXES_LOCKOUT_CALLABLE = "people.login_lockout.respond"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # people/admin.py registers its rows
AXES_VERBOSE = False

vars().update(environment.email("EMAIL_URL", EMAIL_URL))
EMAIL_TIMEOUT = 10

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["people.api.auth.Bearer", "people.api.auth.Session"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["people.api.parsers.Json"],
    "DEFAULT_PAGINATION_CLASS": "people.api.paging.Paging",
    "DEFAULT_FILTER_BACKENDS": ["people.api.filters.Filters"],
    "DEFAULT_THROTTLE_CLASSES": ["people.api.rate.Rate"],
    "DEFAULT_THROTTLE_RATES": {"user": API_RATE},
    "DEFAULT_SCHEMA_CLASS": "people.api.schema.Schema",
    "EXCEPTION_HANDLER": "people.api.problems.handler",
    "URL_FORMAT_OVERRIDE": None,  # `?format=` is the format of a dataset
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Podium",
    "DESCRIPTION": (
        "Everything that Podium's pages do, for scripts. docs/api.md explains how to start."
    ),
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "GET_MOCK_REQUEST": "people.api.schema.mock_request",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SERVERS": [{"url": PATH}] if PATH else [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AccountState": "people.models.User.State",
        "ProjectState": "people.models.Project.State",
        "InvitationState": "people.models.Invitation.State",
        "Role": "people.models.Membership.Role",
        "WebhookState": "people.models.Webhook.State",
        "DeliveryState": "people.models.Delivery.State",
        "JobState": "modelops.models.Job.State",
        "JobKind": "modelops.models.Job.Kind",
        "DatasetKind": "modelops.models.Dataset.Kind",
        "ModelKind": "modelops.models.ModelVersion.Kind",
        "CriterionKind": "labeling.models.Criterion.Kind",
        "JudgeKind": "labeling.models.Judge.Kind",
        "Split": "labeling.models.Prompt.Split",
        "OneSplit": "modelops.recipes.A_SPLIT",
        "FormatIn": "modelops.recipes.FORMATS_IN",
        "FormatOut": "modelops.recipes.FORMATS_OUT",
        "RankingKind": "labeling.models.Ranking.Kind",
        "RoundState": "labeling.models.Round.State",
        "StepKind": "labeling.models.RoundStep.Kind",
        "Verdict": "labeling.models.Ranking.Outcome",
        "AssignmentState": "labeling.models.Assignment.State",
        "ReviewVerdict": "labeling.models.Review.Verdict",
        "TaskState": "labeling.models.RankingTask.State",
        "TaskPurpose": "labeling.models.RankingTask.Purpose",
        "WritingState": "labeling.models.Writing.State",
        "WritingKind": "labeling.models.Writing.Kind",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Groups are opened by hand: of more than about 130 open actions the page shows the first few.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "docExpansion": "none"},
}

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-32000;PRAGMA "
    "mmap_size=268435456"
)
if DATABASE_URL:
    DATABASES = {
        "default": environment.database("DATABASE_URL", DATABASE_URL, "people.db.postgresql")
    }
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    # a statement is prepared at its third use
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("prepare_threshold", 2)
    # Workers and commands wait as long as it takes; pages don't.
    PAGE_DATABASE_OPTIONS = {
        "connect_timeout": 3,  # seconds
        "tcp_user_timeout": 5000,  # milliseconds until sent data must have arrived
        "statement_seconds": 20,
    }
else:
    PAGE_DATABASE_OPTIONS = {}
    DATABASES = {
        "default": {
            "ENGINE": "people.db.sqlite",
            "NAME": VAR / "podium.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": SQLITE_PRAGMAS,
            },
            # A file: an in-memory database has no WAL and no second connection to race against.
            "TEST": {"NAME": str(TEST_DATABASE)},
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# `make up` sets REDIS_URL to its own broker, and writes it to a file for management commands.
_address = VAR / "run" / "broker.url"
BROKER = REDIS_URL or (
    _address.read_text() if _address.exists() else f"unix://{VAR / 'run' / 'broker.sock'}"
)
CACHES = {
    "default": {
        "BACKEND": "people.cache.BrokerCache",
        "LOCATION": BROKER,
        "KEY_PREFIX": "podium",
        "OPTIONS": {
            "socket_connect_timeout": 0.5,
            "socket_timeout": 0.5,
            "retry": Retry(NoBackoff(), 1),
        },
    }
}
CELERY_BROKER_URL = BROKER.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# No retries: a page that starts a job must not wait for an unreachable broker. The sweep replaces
# the lost message.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "max_retries": 0,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "sweep", "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
    "tidy": {"task": "tidy", "schedule": 3600, "options": {"expires": 3600}},
}
if BACKUP_CRON:
    CELERY_BEAT_SCHEDULE["backup"] = {
        "task": "backup",
        "schedule": crontab.from_string(BACKUP_CRON),
        "options": {"expires": 3600},
    }
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "run" / "beat")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = f"{PATH}/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = VAR / "uploads"
# also for static files; Django's default is 0o644
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
FILE_UPLOAD_MAX_MEMORY_SIZE = 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 2**20

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        # the forms of downloads are redirected to the bucket
        "form-action": [SELF, *([SIGNED_DOWNLOADS] if SIGNED_DOWNLOADS else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "people.error_pages.csrf_failure"
SESSION_ENGINE = "people.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
if PATH:
    FORCE_SCRIPT_NAME = PATH  # in workers and commands too; config/gateway.py takes it off a path
    SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PATH
    # The browser also sends the cookies of another Django at /, and the last of a name is read.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "podium_sessionid", "podium_csrftoken"
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(PATH.lstrip('/'))}/)?({ASKED_FROM_HERE})$"]
    SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "people.logs.Formatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%Y-%m-%d %H:%M:%S",
        },
        "json": {
            "()": "people.logs.Json",
            "fmt": ["levelname", "name", "message"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if LOGS == "json" else "plain",
        }
    },
    "filters": {"once_a_minute": {"()": "people.proxy_faults.OnceAMinute"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "podium.access": {"level": "INFO" if LOGS == "json" else "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.worker.request": {"level": "WARNING"},
        # they log each URL, and some hold a secret
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "django.security.DisallowedHost": {"filters": ["once_a_minute"]},
        "django.security.csrf": {"filters": ["once_a_minute"]},
        "people.proxy_faults": {"filters": ["once_a_minute"]},
        # it logs failures without the account; the audit log names it
        "axes": {"level": "ERROR"},
    },
}
