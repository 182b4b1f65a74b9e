"""Somebody who works through the API."""

from django.test import Client

AT = "/api/v1/projects/demo/"
RANKS = {"order": "B>A=C>D"}


class Hands:
    """Sends JSON to the project's addresses."""

    def __init__(self, client: Client, project: str = "demo"):
        self.client = client
        self.at = f"/api/v1/projects/{project}/"

    def get(self, path, **asked):
        return self.client.get(self.at + path, asked)

    def post(self, path, body=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(
            self.at + path, body or {}, content_type="application/json", headers=headers
        )

    def claim(self) -> dict:
        """The task at hand."""
        response = self.post("assignments")
        assert response.status_code == 200, response.content
        return response.json()

    def rank(self, **said) -> dict:
        """Decide on the task at hand."""
        response = self.post(f"assignments/{self.claim()['id']}/submit", RANKS | said)
        assert response.status_code == 201, response.content
        return response.json()


def fields_of(problem) -> set[str]:
    """Which fields a refusal is about."""
    return {error["field"] for error in problem.json()["errors"]}


def code_of(problem) -> str:
    """The word of a refusal that scripts may rely on."""
    return problem.json()["type"].removeprefix("urn:podium:")
