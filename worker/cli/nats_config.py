"""``rulestream nats-config``: the NATS server's accounts from who is who, and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make the NATS server's accounts and permissions, and keys.", no_args_is_help=True)

ACCOUNTS_FILE = "accounts.conf"
SETTINGS_FILE = "rulestream.toml"


@app.command()
def write(
    identities: Annotated[Path, typer.Argument(help="The TOML file that says who is who.", metavar="IDENTITIES")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write; files there are replaced.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Write accounts.conf for the server and rulestream.toml for workers (RULESTREAM_CONFIG); no secret is in them."""
    from domain.errors import RulestreamError
    from worker.cli.output import exit_with, print_json
    from worker.cli.running import settings_or_exit
    from worker.identities import read_identities
    from worker.nats_accounts import accounts_file, accounts_of, settings_file

    topology = settings_or_exit().topology
    try:
        found = read_identities(identities)
        texts = {ACCOUNTS_FILE: accounts_file(accounts_of(found, topology)), SETTINGS_FILE: settings_file(found)}
    except RulestreamError as error:
        exit_with(error)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _replace(out / name, text)
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or out}: {error.strerror}", param_hint="--out") from None
    locked_out = [one.name for one in found if not one.keys]
    if json:
        print_json({"identities": len(found), "lockedOut": locked_out, "files": [str(out / name) for name in texts]})
        return
    typer.echo(f"{len(found)} identities: {', '.join(str(out / name) for name in texts)}")
    for name in locked_out:
        typer.echo(f"{name} has no key, and is locked out")


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: a server that loads it again meanwhile sees the old one or the new one."""
    made = path.with_name(f".{path.name}.new")
    made.write_text(text, encoding="utf-8")
    made.replace(path)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where identities.toml and keys/NAME.nk go.", metavar="DIR")],
    identity: Annotated[
        list[str] | None, typer.Option("--identity", metavar="NAME=ROLE,...", help="A client, with its roles.")
    ] = None,
) -> None:
    """Begin: a file of identities with a new key for the worker, the platform engineer and each --identity."""
    from worker.cli.output import exit_with
    from worker.identities import STANDARD, IdentitiesError, identities_text, read_identities
    from worker.nkey_files import NkeyError, make_key

    wanted = dict(STANDARD)
    for one in identity or []:
        name, _, roles = one.partition("=")
        wanted[name] = tuple(part.strip() for part in roles.split(","))
    path = directory / "identities.toml"
    if path.exists():
        raise typer.BadParameter(f"{path} is there already: edit it, and make keys with new-key", param_hint="DIR")
    try:
        (directory / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(identities_text(wanted, dict.fromkeys(wanted, "")), encoding="utf-8")
        try:
            read_identities(path)  # names and roles, before there are keys
            keys = {name: make_key(directory / "keys" / f"{name}.nk") for name in wanted}
        except (IdentitiesError, NkeyError) as error:
            path.unlink()
            exit_with(error)
        path.write_text(identities_text(wanted, keys), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or directory}: {error.strerror}", param_hint="DIR") from None
    typer.echo(f"{path}: {len(wanted)} identities, each with a key in {directory / 'keys'}")


@app.command("new-key")
def new_key(
    file: Annotated[Path, typer.Argument(help="Where the secret seed goes; it must not exist yet.", metavar="FILE")],
) -> None:
    """Make a key: the seed goes to FILE, which only you may read, and the public key to standard output."""
    from worker.cli.output import exit_with
    from worker.nkey_files import NkeyError, make_key

    try:
        typer.echo(make_key(file))
    except NkeyError as error:
        exit_with(error)


@app.command("public-key")
def public_key(
    file: Annotated[Path, typer.Argument(help="A file with a seed.", metavar="FILE")],
) -> None:
    """Print the public key of a seed's file, as the file of identities names it."""
    from worker.cli.output import exit_with
    from worker.nkey_files import NkeyError
    from worker.nkey_files import public_key as of_file

    try:
        typer.echo(of_file(file))
    except NkeyError as error:
        exit_with(error)
