"""The golden files of this folder are renewed by ``pytest --renew-golden``, and only so."""


def pytest_addoption(parser):
    parser.addoption("--renew-golden", action="store_true", help="write the golden files anew")
