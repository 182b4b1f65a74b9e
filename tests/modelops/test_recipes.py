"""What a recipe's learning rate is where it names none: it follows the switch between an adapter
and all weights.
"""

import dataclasses

import pytest

from modelops import kinds, recipes
from modelops.forms import jobs

TRAINED = [str(kind) for kind in kinds.TRAINED]
WHOLE = {"reward": 1e-5, "sft": 2e-5, "dpo": 1e-6, "kto": 1e-6, "ppo": 1e-5}


@pytest.mark.parametrize("kind", TRAINED)
def test_the_usual_rate_follows_the_switch(kind):
    assert recipes.read(kind, {}).learning_rate == 1e-4
    assert recipes.read(kind, {"lora": False}).learning_rate == WHOLE[kind]
    assert recipes.read(kind, {"lora": False, "learning_rate": 0}).learning_rate == WHOLE[kind]


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("kind", TRAINED)
def test_a_rate_that_is_named_is_taken(kind, lora):
    asked = {"lora": lora, "learning_rate": 1e-4}
    assert recipes.read(kind, asked).learning_rate == 1e-4


def test_the_value_model_of_ppo_has_a_rate_that_follows_too():
    assert recipes.read("ppo", {}).value_learning_rate == 1e-4
    assert recipes.read("ppo", {"lora": False}).value_learning_rate == 1e-5


@pytest.mark.parametrize("kind", TRAINED)
def test_a_recipe_that_was_stored_means_what_it_meant(kind):
    """With the defaults of before, all of them written out, as a job's recipe holds them."""
    before = vars(recipes.read(kind, {})) | {"learning_rate": 1e-4, "save_steps": 20, "lora": False}
    assert vars(recipes.read(kind, before)) == before


@pytest.mark.parametrize("kind", TRAINED)
def test_the_form_says_which_rates_are_usual(kind):
    field = next(
        one for one in dataclasses.fields(recipes.RECIPES[kind]) if one.name == "learning_rate"
    )
    help_text = jobs.recipe_field(field).help_text
    assert "0 takes 0.0001 for an adapter, " in help_text
    assert f"{WHOLE[kind]:g} for all weights" in help_text
