"""`strongroom status`."""

import json
import time
from typing import Any

import click

from client.broker import Mailbox
from client.errors import NotUp
from client.installation import Installation
from client.output import json_line, json_option, tell_config_changed
from client.signs import silent, since, stations
from config import queues
from config.broker import broker_url
from config.home import Home
from config.stack_file import StackInfo, config_changed, running_stack


@click.command(epilog="Example: strongroom status")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show how the stack is: for how long it is up, what waits in its queues, what scheduler and key-broker counted.

    The exit code is 0 only when it is ready. On a broker of one's own it also shows when each role was last seen, and
    ready means that scheduler, beat, key-broker and every worker that somebody is enrolled as have given a sign of life
    in the last 30 seconds.

    \f
    Raises:
        NotUp: there is neither a stack nor a broker.
        BrokerUnreachable: the broker does not answer.
    """
    installation = Installation.open()
    broker = installation.settings.broker
    info = None if broker.url else running_stack(installation.home)
    if info is None and not broker.url:
        raise NotUp("no stack is up", remedy="start one with `strongroom up`; other commands bring their own")
    url = info.broker_url if info else broker_url(broker, queues.CLIENT)
    hosts = {each.host for each in installation.registry.identities if each.host}
    mailbox = Mailbox(url, installation.settings)
    try:
        seen = mailbox.seen(stations(installation.registry)) if broker.url else {}
        missing = silent(seen)
        found = {
            "ready": not missing,
            "stack": _stack(info, installation.home),
            "seen": seen,
            "queues": mailbox.waiting(hosts),
            "roles": {role: _json(mailbox.status(role)) for role in (queues.SCHEDULER, queues.KEY_BROKER)},
        }
    finally:
        mailbox.close()
    click.echo(json_line(found) if as_json else _words(found))
    if info and config_changed(installation.home, info):
        tell_config_changed()
    for station in missing:
        click.echo(f"strongroom: {since(station, seen[station])}", err=True)
    if missing:
        click.echo("  -> see on their hosts whether they run, and the last lines of their logs", err=True)
    ctx.exit(1 if missing else 0)


def _stack(info: StackInfo | None, home: Home) -> dict[str, Any] | None:
    if info is None:
        return None
    return {
        "pid": info.pid,
        "up_seconds": round(time.time() - info.started_ms / 1000, 1),
        "start_seconds": info.seconds,
        "config_changed": config_changed(home, info),
        "flower_url": info.flower_url,
        "flower_user": info.flower_user,
        "flower_password": info.flower_password,
    }


def _json(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _words(found: dict[str, Any]) -> str:
    stack = found["stack"]
    lines = [
        "the broker answers"
        if stack is None
        else f"the stack is up for {stack['up_seconds']:.0f} s, process {stack['pid']}"
    ]
    if found["seen"]:
        lines.append("seen: " + ", ".join(f"{name} {_ago(age_s)}" for name, age_s in found["seen"].items()))
    if stack and stack["flower_url"]:
        lines.append(
            f"Flower: {stack['flower_url']}  user {stack['flower_user']}  password {stack['flower_password']}"
        )
    lines.append("waiting: " + ", ".join(f"{name} {count}" for name, count in found["queues"].items()))
    for role, status in found["roles"].items():
        if status is not None:
            lines += [f"{role}:", *_flat(status, "  ")]
    return "\n".join(lines)


def _ago(age_s: float | None) -> str:
    return "never" if age_s is None else f"{age_s:.0f} s ago"


def _flat(value: Any, indent: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{indent}{value}"]
    lines = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            lines += [f"{indent}{name}:", *_flat(inner, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {inner}")
    return lines
