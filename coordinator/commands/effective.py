"""The whole configuration as a TOML file that gives the same run again."""

from __future__ import annotations

import json
from typing import Any

from distbelief.app.client.addresses import address
from distbelief.app.settings.config import SECTIONS, ClusterConfig, RunConfig
from distbelief.app.settings.environment import BROKER, CONTROL, PARAMETER_SERVERS

#: Settings whose URLs may hold passwords, and the variables that give them instead.
SECRET = {"broker": BROKER, "control": CONTROL, "parameter_servers": PARAMETER_SERVERS}


def effective(config: RunConfig, cluster: ClusterConfig) -> dict[str, Any]:
    """Every setting by its name, None where it is not set; URLs with a password are None, too."""
    values = config.model_dump(mode="json") | cluster.model_dump(mode="json")
    return values | dict.fromkeys(_secret(cluster))


def toml_of(config: RunConfig, cluster: ClusterConfig) -> str:
    """All settings as a TOML file, in the groups of the help."""
    values, secret, lines = effective(config, cluster), _secret(cluster), list[str]()
    for section in SECTIONS:
        lines.append(f"# {(section.__doc__ or '').strip()}")
        there = {name: values[name] for name in section.model_fields}
        unset = [name for name in there if there[name] in (None, [], {}) and name not in secret]
        lines += [
            f"{name} = {_text(there[name])}"
            for name in there
            if there[name] is not None and name not in unset
        ]
        lines += [
            f"# {name} may hold a password: give it as {SECRET[name]}"
            for name in secret
            if name in there
        ]
        if unset:
            lines.append(f"# not set: {', '.join(unset)}")
        lines.append("")
    return "\n".join(lines)


def _text(value: Any) -> str:
    """In TOML: scalars and arrays are JSON's, but for one more character that is escaped."""
    if isinstance(value, dict):
        pairs = (f"{_text(key)} = {_text(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _secret(cluster: ClusterConfig) -> list[str]:
    """The settings that may hold a password: whose address is not all that is in the URL."""
    urls = {
        "broker": [cluster.broker or ""],
        "control": [cluster.control or ""],
        "parameter_servers": cluster.parameter_servers,
    }
    return [name for name, each in urls.items() if any(address(url) != url for url in each)]
