"""Oneself, the tokens of one's scripts, and everybody's accounts for administrators of the site."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.response import Response

from people import accounts, login_lockout, tokens
from people.api.base import Act, Answer, Editing, Listing, SiteEndpoint, SiteVerb
from people.models import Token, User, known_zone


class MeBody(serializers.ModelSerializer):
    """One's own account."""

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
    """One's own account and settings."""

    serializer_class = MeBody

    def get_object(self) -> User:
        return User.objects.get(pk=self.request.user.pk)

    def edit(self, one: User, changes: dict[str, Any]) -> None:
        accounts.change(one, one, **changes)


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
        min_value=1, max_value=366, default=90, help_text="Until it expires."
    )


class MadeToken(TokenBody):
    """The token itself is told once: a repeated request is answered without it."""

    token = serializers.CharField(required=False)

    class Meta(TokenBody.Meta):
        fields = [*TokenBody.Meta.fields, "token"]


class Tokens(Listing, Act, SiteEndpoint):
    """The tokens that let one's scripts in."""

    serializer_class = TokenBody
    input, output, status = NewToken, MadeToken, 201

    def get_queryset(self) -> QuerySet[Token]:
        return tokens.open_of(self.request.user)

    def get_serializer_class(self):
        return TokenBody

    def act(self, data: dict[str, Any]) -> Answer:
        reach = [
            scope
            for scope in data["scopes"]
            if self.request.auth is None or self.request.auth.reaches(scope)
        ]
        if len(reach) < len(data["scopes"]):
            raise serializers.ValidationError(
                {"scopes": ["A token makes no token that reaches further than itself."]}
            )
        token, text = tokens.make(self.actor, data["name"], reach, data["days"])
        return Answer(
            TokenBody(token).data, location=f"/api/v1/tokens/{token.pk}", secret={"token": text}
        )


class OneToken(SiteEndpoint):
    """A token of one's own."""

    serializer_class = TokenBody

    def get_queryset(self) -> QuerySet[Token]:
        return Token.objects.filter(user=self.request.user, revoked_at=None, expires_at__gt=now())

    def delete(self, request, *args, **kwargs) -> Response:
        """Revoke it: it lets nobody in from now on."""
        tokens.revoke(self.actor, self.get_object())
        return Response(status=204)


class AccountBody(serializers.ModelSerializer):
    """An account, as administrators of the site see it."""

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
    """The first password is told once: a repeated request is answered without it."""

    password = serializers.CharField(required=False)

    class Meta(AccountBody.Meta):
        fields = [*AccountBody.Meta.fields, "password"]


class Accounts(Listing, Act, SiteEndpoint):
    """All accounts of the site."""

    staff = True
    serializer_class = AccountBody
    filterset_fields = ["state", "is_staff", "simulated"]
    input, output, status = NewAccount, MadeAccount, 201

    def get_serializer_class(self):
        return AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> Answer:
        user, password = accounts.create(self.actor, **data)
        location = f"/api/v1/accounts/{user.pk}"
        return Answer(AccountBody(user).data, location=location, secret={"password": password})


class OneAccount(Editing, SiteEndpoint):
    """Somebody's account."""

    staff = True
    serializer_class = AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def edit(self, one: User, changes: dict[str, Any]) -> None:
        accounts.change(self.actor, one, **changes)


class AccountVerb(SiteVerb):
    """What administrators do to somebody's account; it is answered as it is then."""

    staff = True
    output = AccountBody

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> User:
        user = self.get_object()
        self.deed(user)
        return user

    def deed(self, user: User) -> None:
        raise NotImplementedError


class PauseAccount(AccountVerb):
    """Nobody logs in with it any more, its scripts are out, its leases go back."""

    def deed(self, user: User) -> None:
        accounts.pause(self.actor, user)


class ActivateAccount(AccountVerb):
    """Let them log in again."""

    def deed(self, user: User) -> None:
        accounts.activate(self.actor, user)


class UnlockAccount(AccountVerb):
    """Lift the lock that failed log-ins led to."""

    def deed(self, user: User) -> None:
        login_lockout.lift(self.actor, user)


class Password(serializers.Serializer):
    """Told once: a repeated request is answered without it."""

    password = serializers.CharField(required=False)


class NewPassword(SiteVerb):
    """A new password for somebody who lost theirs; their browsers are logged out."""

    staff = True
    output = Password

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def act(self, data: dict[str, Any]) -> Answer:
        return Answer(
            {},
            status=200,
            secret={"password": accounts.new_password(self.actor, self.get_object())},
        )
