"""What holds for every test: no time limit for one hypothesis example, because machines are shared."""

from hypothesis import settings

settings.register_profile("trivet", deadline=None)
settings.load_profile("trivet")
