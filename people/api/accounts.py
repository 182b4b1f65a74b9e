"""The user's own account and tokens, and all accounts for administrators of the site."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from people import accounts, login_lockout, tokens
from people.api.base import ActionMixin, Answer, Editing, Listing, SiteAction, SiteEndpoint
from people.models import Token, User, known_zone


class MeBody(serializers.ModelSerializer):
    """The user's own account."""

    zone = serializers.CharField(max_length=50, validators=[known_zone])
    language = serializers.ChoiceField(settings.LANGUAGES)

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "name",
            "zone",
            "language",
            "theme",
            "shortcuts",
            "sensitive",
            "is_staff",
        ]
        read_only_fields = ["id", "email", "is_staff"]


class Me(Editing, SiteEndpoint):
    """Your own account and settings."""

    serializer_class = MeBody

    def get_object(self) -> User:
        return User.objects.get(pk=self.request.user.pk)

    def edit(self, user: User, changes: dict[str, Any]) -> None:
        accounts.change(user, user, **changes)


class TokenBody(serializers.ModelSerializer):
    scopes = serializers.ListField(child=serializers.ChoiceField(Token.Scope.choices))

    class Meta:
        model = Token
        fields = ["id", "name", "scopes", "start", "created_at", "expires_at", "last_used_at"]


class NewToken(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Token.Scope.choices),
        allow_empty=False,
        max_length=len(Token.Scope),
    )
    days = serializers.IntegerField(
        min_value=1, max_value=366, default=90, help_text="Days until the token expires."
    )


class MadeToken(TokenBody):
    """The response to a repeated request does not contain the token."""

    token = serializers.CharField(required=False)

    class Meta(TokenBody.Meta):
        fields = [*TokenBody.Meta.fields, "token"]


class Tokens(Listing, ActionMixin, SiteEndpoint):
    """Your valid API tokens."""

    serializer_class = TokenBody
    input, output, status = NewToken, MadeToken, 201

    def get_queryset(self) -> QuerySet[Token]:
        return tokens.open_of(self.request.user)

    def get_serializer_class(self) -> type[BaseSerializer]:
        return TokenBody

    def act(self, data: dict[str, Any]) -> Answer:
        own_token = self.request.auth
        if own_token and not all(own_token.reaches(scope) for scope in data["scopes"]):
            raise serializers.ValidationError(
                {"scopes": ["A token can't create a token with more scopes than its own."]}
            )
        token, text = tokens.make(self.actor, data["name"], data["scopes"], data["days"])
        return Answer(
            TokenBody(token).data, location=f"/api/v1/tokens/{token.pk}", secret={"token": text}
        )


class OneToken(SiteEndpoint):
    """One of your tokens."""

    serializer_class = TokenBody

    def get_queryset(self) -> QuerySet[Token]:
        return Token.objects.filter(user=self.request.user, revoked_at=None, expires_at__gt=now())

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Revoke the token."""
        tokens.revoke(self.actor, self.get_object())
        return Response(status=204)


class AccountBody(serializers.ModelSerializer):
    """An account, for administrators of the site."""

    zone = serializers.CharField(max_length=50, validators=[known_zone], required=False)

    class Meta:
        model = User
        fields = ["id", "email", "name", "state", "is_staff", "simulated", "zone", "created_at"]
        read_only_fields = ["id", "email", "state", "created_at"]


class NewAccount(serializers.Serializer):
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    is_staff = serializers.BooleanField(default=False)
    simulated = serializers.BooleanField(default=False)


class MadeAccount(AccountBody):
    """The response to a repeated request does not contain the password."""

    password = serializers.CharField(required=False)

    class Meta(AccountBody.Meta):
        fields = [*AccountBody.Meta.fields, "password"]


class Accounts(Listing, ActionMixin, SiteEndpoint):
    """All accounts of the site."""

    staff = True
    serializer_class = AccountBody
    filterset_fields = ["state", "is_staff", "simulated"]
    input, output, status = NewAccount, MadeAccount, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> Answer:
        user, password = accounts.create(self.actor, **data)
        location = f"/api/v1/accounts/{user.pk}"
        return Answer(AccountBody(user).data, location=location, secret={"password": password})


class OneAccount(Editing, SiteEndpoint):
    """One account."""

    staff = True
    serializer_class = AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def edit(self, user: User, changes: dict[str, Any]) -> None:
        accounts.change(self.actor, user, **changes)


class AccountAction(SiteAction):
    """An action of an administrator on an account. Returns the changed account."""

    staff = True
    output = AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> User:
        user = self.get_object()
        self.change(user)
        return user

    def change(self, user: User) -> None:
        """Run the action."""
        raise NotImplementedError


class PauseAccount(AccountAction):
    """Pause the account: log-in and tokens stop working, and its leases are returned."""

    def change(self, user: User) -> None:
        accounts.pause(self.actor, user)


class ActivateAccount(AccountAction):
    """Let the account log in again."""

    def change(self, user: User) -> None:
        accounts.activate(self.actor, user)


class UnlockAccount(AccountAction):
    """Lift a log-in lockout."""

    def change(self, user: User) -> None:
        login_lockout.lift(self.actor, user)


class Password(serializers.Serializer):
    """The response to a repeated request does not contain the password."""

    password = serializers.CharField(required=False)


class NewPassword(SiteAction):
    """Set a new random password. All sessions of the account end, and its tokens are revoked."""

    staff = True
    output = Password

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> Answer:
        password = accounts.new_password(self.actor, self.get_object())
        return Answer({}, status=200, secret={"password": password})
