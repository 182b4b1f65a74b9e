"""Load all that pages and their jobs load, from the folder of the code: run after slim.sh."""

import os
import pkgutil
import sys
from importlib import import_module

sys.path.insert(0, os.getcwd())
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
GETS_THE_MODEL = "workers.download_model"

import_module("config.asgi")
for package in ("config", "people", "modelops", "labeling", "workers"):
    folders = import_module(package).__path__
    for module in pkgutil.walk_packages(folders, f"{package}."):
        part = module.name.split(".")[1]
        is_torch_s = package == "workers" and part in ("engines", "modeling", "trainers")
        if not is_torch_s and module.name != GETS_THE_MODEL:
            import_module(module.name)

# what functions of these load only when they are called
import_module("pyarrow.parquet")
import_module("pyarrow.csv")
languages = import_module("labeling.text.languages")
text = "Ich weiß nicht, was soll es bedeuten, dass ich so traurig bin."
assert languages.detect([text]) == ["de"]
parquet = import_module("modelops.parquet")
print(f"{len(sys.modules)} modules load.")
