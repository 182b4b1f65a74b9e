"""The forms of model versions: a folder of this machine, or a server's model."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from people.forms import IdempotentForm


class RegisterForm(IdempotentForm):
    """A model that lies on this machine already."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    folder = forms.CharField(
        label=gettext_lazy("Folder"),
        max_length=500,
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        roots = ", ".join(str(root) for root in settings.MODEL_ROOTS)
        self.fields["folder"].help_text = _(
            "A folder with config.json, tokenizer and .safetensors files, below %(roots)s."
        ) % {"roots": roots}


class ServedForm(IdempotentForm):
    """A model that a server answers for."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    address = forms.URLField(
        label=gettext_lazy("Address"),
        max_length=500,
        assume_scheme="https",
        help_text=gettext_lazy(
            "Of a server that speaks OpenAI's protocol, up to /v1: https://models.example/v1"
        ),
    )
    served_as = forms.CharField(
        label=gettext_lazy("Model"),
        max_length=200,
        help_text=gettext_lazy(
            "The model's name at that server, or its LoRA adapter's with its version."
        ),
    )
