"""Jobs and model versions, for scripts: the verbs of the pages."""

from modelops import datasets, registry, store
from people.api import problems

problems.register(datasets.Withheld, 410, "withheld")
problems.register(datasets.InUse, 409, "in-use")
problems.register(registry.NotRegistered, 422, "not-registered")
problems.register(registry.NameTaken, 422, "name-taken", field="name")
problems.register(store.StoreFault, 503, "store")
