"""A person on a real Label Studio whose token stops being accepted when a test says so."""

import secrets

import httpx

from labeling.client import Client
from tests.labeling.conftest import LabelStudio, sign_up


class Expiring:
    """A new account, and the token that it has now."""

    def __init__(self, label_studio: LabelStudio) -> None:
        self.url = label_studio.url
        email = f"{secrets.token_hex(4)}@example.com"
        self.token = sign_up(self.url, label_studio.admin.token, email, secrets.token_hex(8)).token

    def client(self) -> Client:
        return Client(self.url, self.token)

    def revoke(self) -> None:
        """As under Account & Settings: clients with the token of before are refused from now on."""
        headers = {"Authorization": f"Token {self.token}"}
        answer = httpx.post(f"{self.url}/api/current-user/reset-token/", headers=headers, timeout=60).raise_for_status()
        self.token = answer.json()["token"]
