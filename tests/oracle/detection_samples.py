"""Security detection rules and events, drawn from a seed, in the style and the sizes of public ones.

The rules demand something of file names, command lines, registry keys and cloud calls, mostly by parts of text without
regard to case, with lists of alternatives, filters and quantifiers; a few are of tens of thousands of characters. Most
events meet few rules or none, some are made to meet one, and some hold what rules do not expect.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.oracle.detection import PRIORITIES, Detection, Path, Tree, value_at

# Words that rules and events are made of

_TOOLS: Final = (
    "powershell", "cmd", "rundll32", "regsvr32", "mshta", "wscript", "cscript", "certutil", "bitsadmin", "schtasks",
    "wmic", "net", "net1", "whoami", "nltest", "psexec", "msbuild", "installutil", "rclone", "curl", "7z", "rar",
    "procdump", "vssadmin", "wbadmin", "bcdedit", "fsutil", "wevtutil", "sc", "reg", "attrib", "icacls", "takeown",
    "msiexec", "forfiles", "hh", "cmstp", "odbcconf", "winword", "excel", "outlook", "explorer", "svchost", "services",
    "lsass", "winlogon", "spoolsv", "w3wp", "sqlservr", "java", "python", "node", "chrome", "msedge", "teams", "adfind",
)  # fmt: skip
_FOLDERS: Final = (
    "c:\\windows\\system32\\", "c:\\windows\\syswow64\\", "c:\\program files\\", "c:\\users\\public\\", "c:\\temp\\",
    "c:\\programdata\\", "\\appdata\\local\\temp\\", "\\appdata\\roaming\\", "c:\\windows\\temp\\", "\\downloads\\",
    "c:\\perflogs\\", "\\desktop\\", "\\device\\harddiskvolumeshadowcopy", "c:\\$recycle.bin\\",
)  # fmt: skip
_OPTIONS: Final = (
    " -enc ", " -encodedcommand ", " -nop ", " -w hidden ", " -exec bypass", "downloadstring", "downloadfile", "iex(",
    "frombase64string", "-urlcache", " /create ", " /delete ", "shadows", "/domain_trusts", "/add", "localgroup",
    "administrators", "sekurlsa", "lsadump", "privilege::debug", "comsvcs", "minidump", "javascript:", "scrobj.dll",
    "http://", "https://", "\\\\127.0.0.1\\", "admin$", "ntds.dit", "sam.hiv", "currentversion\\run", "disable", "/all",
    "recoveryenabled", "delete catalog", "process call create", "/transfer", "-ma ", "set-mppreference", "amsiutils",
    "reflection.assembly", "invoke-", "new-object", "net.webclient", "start-bitstransfer", "-windowstyle", "vbscript:",
)  # fmt: skip
_KEYS: Final = (
    "\\currentversion\\run", "\\currentversion\\runonce", "\\image file execution options\\", "\\winlogon\\shell",
    "\\services\\", "\\lsa\\", "\\policies\\system\\", "\\shell\\open\\command", "\\inprocserver32", "\\userinit",
    "\\windows defender\\", "\\securityproviders\\wdigest\\", "\\terminal server\\", "\\eventlog\\", "\\environment\\",
)  # fmt: skip
_CALLS: Final = (
    "ConsoleLogin", "CreateUser", "CreateAccessKey", "PutBucketPolicy", "DeleteTrail", "StopLogging",
    "AttachUserPolicy", "PutObject",
    "RunInstances", "AuthorizeSecurityGroupIngress", "GetSecretValue", "AssumeRole", "UpdateLoginProfile",
    "ListBuckets",
    "DescribeInstances", "GetObject", "DeleteBucket", "CreateFunction", "UpdateFunctionCode", "DisableKey",
    "ScheduleKeyDeletion", "ModifyImageAttribute", "PutUserPolicy", "DeleteDetector", "GetCallerIdentity",
)  # fmt: skip
_SERVICES: Final = ("iam", "s3", "ec2", "sts", "lambda", "kms", "cloudtrail", "guardduty", "secretsmanager", "signin")
_SYLLABLES: Final = (
    "ba", "co", "di", "fu", "ga", "ho", "in", "ja", "ke", "lo", "mi", "nu", "or", "pi", "qu", "ra", "sy", "te", "ul",
    "va", "wi", "xe", "yo", "za", "bl", "cr", "dr", "st", "tr", "ch",
)  # fmt: skip
_EXTENSIONS: Final = (".exe", ".dll", ".ps1", ".bat", ".vbs", ".js", ".hta", ".lnk", ".zip", ".iso", ".dmp", ".tmp")
_USERS: Final = (
    "NT AUTHORITY\\SYSTEM",
    "CORP\\alice",
    "CORP\\bob",
    "CORP\\svc-backup",
    "NT AUTHORITY\\NETWORK SERVICE",
)
_SIGNS: Final = "\u00e9\u00c9\u212a\u017f\u00df\u0416"  # letters that ASCII's case does not change

PROCESS: Final = "windows.process.created"
REGISTRY: Final = "windows.registry.set"
NETWORK: Final = "network.connection"
FILE: Final = "windows.file.created"
DNS: Final = "dns.query"
CLOUD: Final = "cloud.audit"

_TEXT_PATHS: Final[dict[str, dict[str, Path]]] = {
    PROCESS: {
        "image": ("process", "image"), "command": ("process", "command_line"), "parent": ("process", "parent", "image"),
        "parent_command": ("process", "parent", "command_line"), "user": ("user", "name"),
        "original": ("process", "original_file_name"), "hash": ("process", "hash", "sha256"),
    },
    REGISTRY: {"key": ("registry", "key"), "details": ("registry", "details"), "image": ("process", "image")},
    NETWORK: {"image": ("process", "image"), "host": ("destination", "domain"), "user": ("user", "name")},
    FILE: {"target": ("file", "path"), "image": ("process", "image"), "user": ("user", "name")},
    DNS: {"query": ("dns", "question", "name"), "image": ("process", "image")},
    CLOUD: {"call": ("event", "action"), "service": ("event", "provider"), "agent": ("user_agent", "original"),
            "error": ("error", "code"), "user": ("user", "name")},
}  # fmt: skip
_TYPE_SHARES: Final = {PROCESS: 45, REGISTRY: 12, NETWORK: 10, FILE: 13, DNS: 6, CLOUD: 14}


class _Words:
    """Draws words from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def word(self, syllables: int = 3) -> str:
        return "".join(self.random.choice(_SYLLABLES) for _ in range(syllables))

    def few(self, make: Callable[[], Any], low: int, high: int) -> list[Any]:
        return list(dict.fromkeys(make() for _ in range(self.random.randint(low, high))))

    def program(self) -> str:
        return self.random.choice(_TOOLS) if self.chance(0.6) else self.word()

    def option(self) -> str:
        if self.chance(0.4):
            return self.random.choice(_OPTIONS)
        return self.random.choice((" -{}", " /{} ", "{}.dll", "invoke-{}", "{}", "\\{}\\", "{}=")).format(self.word())

    def domain(self) -> str:
        return f"{self.word(self.random.randint(2, 4))}.{self.random.choice(('com', 'net', 'org', 'io', 'top', 'xyz'))}"

    def digest(self) -> str:
        return f"{self.random.getrandbits(256):064x}"

    def cased(self, text: str) -> str:
        """Return a text with the case that people and programs write it in."""
        way = self.random.random()
        if way < 0.6:
            return text
        return text.upper() if way < 0.7 else text.title() if way < 0.9 else text.swapcase()


# Rules


def detections(count: int, seed: int, giants: int | None = None) -> list[Detection]:
    """Return rules with distinct names, of which one fails on many events.

    One in 500, or ``giants``, are of about 77,000 characters.
    """
    rules = _Rules(seed)
    giants = count // 500 if giants is None else giants
    made = [rules.one(number) for number in range(count - giants - 1)]
    failing = Detection("code as a number", "LOW", (NETWORK,), ("int", ("event", "code"), "==", 3), False, False)
    return [*made, failing, *(rules.giant(number) for number in range(giants))]


class _Rules(_Words):
    """Draws rules."""

    def one(self, number: int) -> Detection:
        event_type = self.random.choices(list(_TYPE_SHARES), list(_TYPE_SHARES.values()))[0]
        types = () if self.chance(0.03) else (event_type,)
        if types and self.chance(0.05):
            types = (event_type, self.random.choice([one for one in _TYPE_SHARES if one != event_type]))
        return self._detection(f"{self.word()} {self.word()} {number}", types, self._condition(event_type))

    def giant(self, number: int) -> Detection:
        """Draw a rule with a long list of what is known to be bad, of one of nine forms in turn."""
        form = number % 9
        tree: Tree
        if form == 0:
            event_type, path = DNS, ("dns", "question", "name")
            tree = ("any", [("text", path, True, "endsWith", f".{self.domain()}") for _ in range(1_150)])
        elif form == 1:
            event_type, path = PROCESS, ("process", "command_line")
            tree = ("any", [("text", path, True, "contains", f"{self.word(4)} {self.option()}") for _ in range(1_050)])
        elif form == 2:
            event_type, path = PROCESS, ("process", "hash", "sha256")
            tree = ("any", [("text", path, True, "==", self.digest()) for _ in range(700)])
        elif form == 3:
            event_type, path = FILE, ("file", "path")
            listed = [("text", path, True, "contains", f"\\{self.word(4)}\\{self.word()}") for _ in range(700)]
            listed += [("text", path, True, "endsWith", f"\\{self.word(4)}{self._extension()}") for _ in range(400)]
            tree = ("all", [("any", listed), ("not", ("text", ("process", "image"), True, "endsWith", "\\setup.exe"))])
        elif form == 4:
            event_type, path = NETWORK, ("destination", "domain")
            tree = ("in", path, False, [f"{self.word()}.{self.domain()}" for _ in range(3_500)])
        elif form == 5:
            event_type, path = PROCESS, ("process", "command_line")
            texts = [f"{self.word(5)} {self.option()} {self.word()}" for _ in range(2_500)]
            tree = ("among", "exists", path, True, "contains", texts)
        elif form == 6:
            event_type, path = NETWORK, ("destination", "domain")
            texts = [f".{self.domain()}" for _ in range(5_000)]
            tree = ("among", self.random.choice(("exists", "filter")), path, True, "endsWith", texts)
        elif form == 7:
            event_type, path = PROCESS, ("process", "hash", "sha256")
            tree = ("among", "exists", path, True, "==", [self.digest() for _ in range(1_100)])
        else:
            event_type = PROCESS
            tree = ("any", [("all", [("text", ("process", "command_line"), True, "contains", self.word(4)),
                                     ("text", ("process", "image"), True, "endsWith", f"\\{self.program()}.exe")])
                            for _ in range(650)])  # fmt: skip
        return self._detection(f"known bad {number}", (event_type,), tree)

    def _detection(self, name: str, types: tuple[str, ...], tree: Tree) -> Detection:
        priority = self.random.choices(PRIORITIES, (5, 25, 50, 20))[0]
        return Detection(name, priority, types, tree, self.chance(0.5), self.chance(0.15))

    def _condition(self, event_type: str) -> Tree:
        make = {
            PROCESS: self._of_process, REGISTRY: self._of_registry, NETWORK: self._of_network, FILE: self._of_file,
            DNS: self._of_dns, CLOUD: self._of_cloud,
        }[event_type]  # fmt: skip
        if event_type == PROCESS and self.chance(0.08):
            return ("text", ("process", "command_line"), self.chance(0.5), "contains", self._line())
        items = make()
        if self.chance(0.35):
            items.append(("not", self._filter(event_type)))
        if self.chance(0.03):  # two ways to be met
            return ("any", [_one_of("all", items), _one_of("all", make())])
        return _one_of("all", items)

    def _of_process(self) -> list[Tree]:
        paths = _TEXT_PATHS[PROCESS]
        image, command, parent = paths["image"], paths["command"], paths["parent"]
        items: list[Tree] = []
        if self.chance(0.75):
            items.append(self._programs(image))
        if self.chance(0.2):
            items.append(self._programs(parent))
        way = self.random.random()
        if way < 0.55:
            items.append(self._any_text(command, "contains", self.option, 1, 6))
        elif way < 0.85 or not items:
            items += [("text", command, True, "contains", one) for one in self.few(self.option, 2, 3)]
        if self.chance(0.2):
            items.append(self._any_text(command, "contains", self.option, 2, 8))
        extra = self.random.random()
        if extra < 0.06:
            items.append(("matches", command, f"(?i){self.word(2)}[a-z0-9]{{2,8}}\\s+.*{self.word(2)}"))
        elif extra < 0.1:
            items.append(
                ("matches", command, rf"(?i)(-|/)e(nc|ncodedcommand)?\s+[a-z0-9+/=]{{{self.random.randint(8, 60)},}}")
            )
        elif extra < 0.16:
            items.append(
                ("in", paths["original"], self.chance(0.7), [f"{one}.exe" for one in self.few(self.program, 1, 5)])
            )
        elif extra < 0.2:
            items.append(("in", paths["hash"], True, self.few(self.digest, 1, 4)))
        elif extra < 0.24:
            items.append(("in", ("process", "integrity"), False, ["High", "System"]))
        elif extra < 0.27:
            items.append(("number", ("process", "parent", "pid"), self.random.choice(("==", "<", ">=")), 4))
        elif extra < 0.3:
            test = ("text", ("@",), True, "startsWith", f"-{self.word(2)}")
            items.append((self.random.choice(("exists", "every")), ("process", "args"), test))
        elif extra < 0.33:
            items.append(("int", ("event", "code"), "==", self.random.choice((1, 4688))))
        elif extra < 0.42:
            items.append(self._among(command, paths["original"]))
        elif extra < 0.46:
            items.append(("text", command, self.chance(0.5), "contains", self._line()))
        return items

    def _among(self, command: Path, name: Path) -> Tree:
        """Draw a macro over constants."""
        way = self.random.choice(("contains", "contains", "startsWith", "endsWith", "==", "matches", "in"))
        macro = self.random.choice(("exists", "exists", "exists", "exists_one", "filter", "all"))
        if way == "in":
            return ("among", macro, ("process", "args"), False, way, self.few(lambda: f"-{self.word(2)}", 1, 12))
        if way == "==":
            return ("among", macro, name, True, way, [f"{one}.exe" for one in self.few(self.program, 2, 40)])
        if way == "matches":
            return (
                "among",
                macro,
                command,
                False,
                way,
                self.few(lambda: f"-{self.word(1)}[a-z]+ ?{self.word(1)}", 1, 6),
            )
        if macro == "all":
            return ("among", macro, command, True, "contains", self.few(self.option, 1, 3))
        return ("among", macro, command, self.chance(0.8), way, self.few(self.option, 3, 40))

    def _line(self) -> str:
        """Draw a text that is longer than those of most rules."""
        return " ".join(self.word() for _ in range(self.random.randint(9, 30)))

    def _of_registry(self) -> list[Tree]:
        key, details, image = (("registry", "key"), ("registry", "details"), ("process", "image"))
        items: list[Tree] = [self._any_text(key, self.random.choice(("contains", "endsWith")), self._key, 1, 4)]
        way = self.random.random()
        if way < 0.4:
            items.append(self._any_text(details, "contains", lambda: self.random.choice(_FOLDERS) + self.word(1), 1, 4))
        elif way < 0.6:
            items.append(("text", details, False, "==", f"DWORD (0x{self.random.randint(0, 3):08x})"))
        elif way < 0.7:
            items.append(self._programs(image))
        elif way < 0.75:
            items.append(("not", ("has", details)))
        return items

    def _of_network(self) -> list[Tree]:
        image, host, port = ("process", "image"), ("destination", "domain"), ("destination", "port")
        items: list[Tree] = [self._programs(image)] if self.chance(0.6) else []
        way = self.random.random()
        if way < 0.4 or not items:
            items.append(self._any_text(host, "endsWith", lambda: f".{self.domain()}", 1, 8))
        elif way < 0.7:
            ports = self.few(lambda: self.random.choice((22, 88, 389, 445, 1433, 3389, 4444, 5985, 8080, 9001)), 1, 3)
            items.append(_one_of("any", [("number", port, "==", one) for one in ports]))
        if self.chance(0.3):
            items.append(("text", ("network", "direction"), False, "==", "outbound"))
        return items

    def _of_file(self) -> list[Tree]:
        target, image = ("file", "path"), ("process", "image")
        items: list[Tree] = [self._any_text(target, "endsWith", self._extension, 1, 3)]
        items.append(self._any_text(target, "contains", lambda: f"{self.random.choice(_FOLDERS)}{self.word(1)}", 1, 4))
        if self.chance(0.5):
            items.append(self._programs(image))
        return items

    def _of_dns(self) -> list[Tree]:
        query = ("dns", "question", "name")
        items: list[Tree] = [self._any_text(query, self.random.choice(("endsWith", "contains")), self.domain, 1, 8)]
        if self.chance(0.3):
            items.append(("exists", ("dns", "answers"), ("text", ("@", "type"), False, "==", "TXT")))
        if self.chance(0.1):
            items.append(("matches", query, "(?i)^[a-z0-9]{20,}\\."))
        return items

    def _of_cloud(self) -> list[Tree]:
        call, service = ("event", "action"), ("event", "provider")
        items: list[Tree] = [("text", service, False, "==", f"{self.random.choice(_SERVICES)}.amazonaws.com")]
        if self.chance(0.6):
            items.append(("in", call, False, self.random.sample(_CALLS, self.random.randint(1, 5))))
        else:
            items.append(self._any_text(call, "startsWith", self._start_of_call, 1, 2))
        way = self.random.random()
        if way < 0.2:
            items.append(("text", ("error", "code"), False, "==", self.random.choice(("AccessDenied", "Failed"))))
        elif way < 0.4:
            items.append(self._any_text(("user_agent", "original"), "contains", self.word, 1, 4))
        elif way < 0.6:
            test = (
                "any",
                [("text", ("@", "cidr"), False, "==", "0.0.0.0/0"), ("text", ("@", "cidr"), False, "==", "::/0")],
            )
            items.append(("exists", ("request", "permissions"), test))
        elif way < 0.7:
            items.append(("not", ("has", ("user", "session", "mfa"))))
        elif way < 0.75:
            items.append(("text", ("user", "name"), True, "!=", self.word()))
        return items

    def _filter(self, event_type: str) -> Tree:
        """Draw what is known to be harmless."""
        way = self.random.random()
        if event_type == CLOUD:
            return self._any_text(("user", "name"), "contains", self.word, 1, 2)
        if way < 0.5:
            return self._programs(("process", "image"))
        if way < 0.7:
            return self._any_text(("process", "image"), "startsWith", lambda: self.random.choice(_FOLDERS), 1, 3)
        if way < 0.85 and event_type == PROCESS:
            both = [self._programs(("process", "parent", "image")),
                    ("text", ("process", "command_line"), True, "contains", self.option())]  # fmt: skip
            return ("all", both)
        return self._any_text(
            ("user", "name"), "contains", lambda: self.random.choice(("system", "service", self.word())), 1, 2
        )

    def _programs(self, path: Path) -> Tree:
        return self._any_text(path, "endsWith", lambda: f"\\{self.program()}.exe", 1, 4)

    def _any_text(self, path: Path, way: str, make: Callable[[], str], low: int, high: int) -> Tree:
        return _one_of("any", [("text", path, True, way, one) for one in self.few(make, low, high)])

    def _start_of_call(self) -> str:
        return self.random.choice(_CALLS)[:6].lower()

    def _key(self) -> str:
        return self.random.choice(_KEYS) + (self.word() if self.chance(0.7) else "")

    def _extension(self) -> str:
        return (f"\\{self.word()}" if self.chance(0.5) else "") + self.random.choice(_EXTENSIONS)


def _one_of(kind: str, items: list[Tree]) -> Tree:
    return items[0] if len(items) == 1 else (kind, items)


# Events


def events(
    count: int, seed: int, rules: list[Detection], attacks: float = 0.08
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return types and events; of a share of them each is made to meet a rule, if no filter of the rule forbids it."""
    made = _Events(seed)
    for _ in range(count):
        rule = made.random.choice(rules) if made.chance(attacks) else None
        yield made.one(rule)


class _Events(_Words):
    """Draws events."""

    def one(self, rule: Detection | None) -> tuple[str, dict[str, Any]]:
        types, shares = list(_TYPE_SHARES), list(_TYPE_SHARES.values())
        if rule is not None and rule.types:
            types, shares = list(rule.types), [1] * len(rule.types)
        event_type = self.random.choices(types, shares)[0]
        event = self._plain(event_type)
        if rule is not None:
            self._meet(rule.tree, event, {})
        if self.chance(0.04):
            self._spoil(event)
        return event_type, event

    def _plain(self, event_type: str) -> dict[str, Any]:
        event: dict[str, Any] = {
            "event": {
                "code": self.random.choice(("1", "4688", 4688, "n/a")),
                "provider": "sysmon",
                "outcome": "success",
            },
            "host": {"name": f"ws-{self.word()}", "os": "Windows 11", "ip": [self._address() for _ in range(2)]},
            "user": {"name": self.random.choice(_USERS), "domain": "CORP"},
            "labels": {self.word(2): self.word() for _ in range(self.random.randint(0, 12))},
        }
        if event_type == CLOUD:
            permissions = [{"port": 443, "cidr": self.random.choice(("0.0.0.0/0", "10.0.0.0/8"))}
                           for _ in range(self.random.randint(0, 4))]  # fmt: skip
            event["event"] |= {
                "action": self.random.choice(_CALLS),
                "provider": f"{self.random.choice(_SERVICES)}.amazonaws.com",
            }
            event["user_agent"] = {"original": f"aws-cli/2.{self.random.randint(1, 20)} {self.word()}"}
            event["request"] = {"permissions": permissions, "region": "eu-central-1", "id": self.digest()}
            event["user"] = {"name": self.word(), "session": {"mfa": True} if self.chance(0.7) else {}}
            if self.chance(0.1):
                event["error"] = {"code": "AccessDenied"}
            return event
        image = self._image()
        event["process"] = {
            "image": image,
            "pid": self.random.randint(4, 60_000),
            "integrity": self.random.choice(("Medium", "High", "System")),
        }
        if event_type == PROCESS:
            args = [
                self.random.choice(("-{}", "/{}", "{}")).format(self.word(2)) for _ in range(self.random.randint(0, 6))
            ]
            tail = " ".join([*args, *(self.cased(self.option()) for _ in range(self.random.randint(0, 2)))])
            if self.chance(0.1):
                tail += " " + "".join(self.word() for _ in range(self.random.randint(40, 250)))
            event["process"] |= {
                "command_line": f'"{image}" {tail}',
                "args": args,
                "original_file_name": image.rsplit("\\", 1)[-1].upper(),
                "hash": {"sha256": self.digest(), "md5": self.digest()[:32]},
                "parent": {
                    "image": self._image(),
                    "pid": self.random.randint(4, 60_000),
                    "command_line": f"{self._image()} {self.option()}",
                },
            }
        elif event_type == REGISTRY:
            event["registry"] = {
                "key": self.cased(f"hklm\\software\\microsoft\\windows{self.random.choice(_KEYS)}{self.word()}"),
                "details": self.random.choice((f"DWORD (0x{self.random.randint(0, 9):08x})", self._image())),
            }
        elif event_type == NETWORK:
            event["destination"] = {
                "ip": self._address(),
                "port": self.random.choice((80, 443, 443, 443, 53, 445, 3389, 8080)),
                "domain": f"{self.word(1)}.{self.domain()}",
            }
            event["network"] = {
                "direction": self.random.choice(("outbound", "inbound")),
                "bytes": self.random.randint(0, 10**7),
            }
        elif event_type == FILE:
            event["file"] = {
                "path": self.cased(
                    f"c:{self.random.choice(_FOLDERS).removeprefix('c:')}{self.word()}{self.random.choice(_EXTENSIONS)}"
                )
            }
        else:
            answers = [
                {"type": self.random.choice(("A", "AAAA", "TXT")), "data": self._address()}
                for _ in range(self.random.randint(0, 3))
            ]
            event["dns"] = {"question": {"name": f"{self.word(2)}.{self.domain()}", "type": "A"}, "answers": answers}
        return event

    def _image(self) -> str:
        folder = self.random.choice(_FOLDERS[:6])
        return self.cased(f"{folder}{self.program()}.exe")

    def _address(self) -> str:
        return ".".join(str(self.random.randint(1, 254)) for _ in range(4))

    def _meet(self, tree: Tree, event: dict[str, Any], done: dict[Path, str]) -> None:
        """Change an event so that a tree's demands are met; ``done`` is what each path was given so far."""
        kind = tree[0]
        if kind == "all":
            for item in tree[1]:
                self._meet(item, event, done)
        elif kind == "any":
            self._meet(self.random.choice(tree[1]), event, done)
        elif kind == "text":
            self._put_text(tree[1], tree[3], tree[4], event, done, folded=tree[2])
        elif kind == "in":
            self._put_text(tree[1], "==", self.random.choice(tree[3]), event, done, folded=tree[2])
        elif kind == "among":
            self._meet_among(tree, event, done)
        elif kind == "number":
            _put(tree[1], tree[3], event)
        elif kind == "int":
            _put(tree[1], self.random.choice((tree[3], str(tree[3]), "n/a")), event)
        elif kind == "exists" and tree[2][0] == "text" and tree[2][1] == ("@",):
            _put(tree[1], [self.word(), tree[2][4].upper() + self.word()], event)

    def _meet_among(self, tree: Tree, event: dict[str, Any], done: dict[Path, str]) -> None:
        _, macro, path, folded, way, literals = tree
        if way == "in":
            _put(path, [self.word(), *(literals if macro == "all" else (self.random.choice(literals),))], event)
            return
        for literal in literals if macro == "all" else (self.random.choice(literals),):
            text = literal.replace("[a-z]+ ?", self.word(1)) if way == "matches" else literal
            self._put_text(path, "contains" if way == "matches" else way, text, event, done, folded=folded)

    def _put_text(
        self, path: Path, way: str, literal: str, event: dict[str, Any], done: dict[Path, str], *, folded: bool
    ) -> None:
        before = done.get(path, "")
        if way == "contains" and len(literal) > 80 and self.chance(0.5):
            literal = literal[self.random.randint(1, len(literal) - 70) :]  # nearly, but not as a whole
        text = self.cased(literal) if folded else literal
        if way == "startsWith":
            text = text + before
        elif way == "contains":
            text = f"{self.word(1)}{text}{self.word(1)}{before}"
        elif way == "endsWith":
            text = f"{before}{self.word(1)}{text}"
        done[path] = text
        if path[0] != "@":
            _put(path, text, event)

    def _spoil(self, event: dict[str, Any]) -> None:
        """Take a value away or put one there that rules do not expect."""
        path = self.random.choice([one for paths in _TEXT_PATHS.values() for one in paths.values()])
        way = self.random.randint(0, 7)
        value = value_at(path, event)
        if way == 0:
            holder = value_at(path[:-1], event) if path[:-1] else event
            if isinstance(holder, dict):
                holder.pop(path[-1], None)
        elif way == 1:
            event.pop(path[0], None)
        elif way == 2:
            _put(path, self.random.choice((None, True, 4688, 0.5, [], {}, ["\\cmd.exe"], {"-enc ": 1})), event)
        elif way == 3 and isinstance(value, str):
            _put(path, value.replace("k", "\u212a").replace("s", "\u017f") + self.random.choice(_SIGNS), event)
        elif way == 4 and isinstance(value, str):
            _put(path, self.random.choice(_SIGNS) + value.upper(), event)
        elif way == 5:
            _put(
                ("process", "args"), [f"-{self.word(2)}" for _ in range(self.random.choice((99, 100, 101, 300)))], event
            )
        elif way == 6:
            _put(("process", "args"), ["x" * self.random.choice((1_023, 1_024, 5_000)), 7], event)
        else:
            _put(("process", "args"), self.random.choice((None, "text", {"-ba": 1}, [[], "-STra"])), event)


def _put(path: Path, value: Any, event: dict[str, Any]) -> None:
    holder: Any = event
    for step in path[:-1]:
        below = holder.get(step)
        if type(below) is not dict:
            below = holder[step] = {}
        holder = below
    holder[path[-1]] = value
