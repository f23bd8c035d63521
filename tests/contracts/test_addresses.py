"""Credentials in addresses are found in every form, and masked where an address is shown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.cli import main
from refine_af.contracts.addresses import credential_in, masked
from refine_af.contracts.errors import ParameterError, StorageError
from refine_af.stages import STAGES
from refine_af.storage.location import locate

WORDS = ("key", "token", "secret", "password", "signature", "credential", "code", "auth", "pwd")
FORMS = [
    "https://user:hunter2@host/rows.jsonl",
    "https://hunter2@host/rows.jsonl",
    "HTTPS://user:hunter2@host",
    "https://user%3Ahunter2%40host/rows",
    "s3://id:hunter2@bucket/key",
    "s3://id:hun/ter2@bucket/key",
    "gs://hunter2@bucket/key",
    "http://user:hunter2@host/x",
    "ftp://user:hunter2@host/x",
    "minio://user:hunter2@bucket/x",
    "https://host/rows?access_key=hunter2",
    "https://host/rows?pwd=hunter2",
    "https://host/rows?code=hunter2",
    "https://host/rows#access_token=hunter2",
    "https://host/rows;token=hunter2",
    "https://host/rows?a=1&X-Amz-Signature=hunter2",
    "https://host/rows?a=1;SIG=hunter2",
    "https://host/rows?%61ccess_%74oken=hunter2",
    "https://host/rows?%2561ccess_%2574oken=hunter2",
    "https://host/rows?a%26token%3Dhunter2",
    "https://host/rows?my[token]=hunter2",
    "s3://bucket/key?secret=hunter2",
    "https://host/rows#bearer=hunter2",
    "https://host/rows?session=hunter2",
    "https://host/rows?otp=hunter2",
    "https://host/rows?passphrase=hunter2",
    "https://host/rows?to\u200bken=hunter2",
    "https://host/rows?\uff54\uff4f\uff4b\uff45\uff4e=hunter2",
    "https://host/rows?next=https%3A%2F%2Fuser%3Ahunter2%40host%2F",
    "https://host/token=hunter2/rows",
    "builtin:seeds, https://host/rows?token=hunter2",
    "https://host/token/hunter2",
    "https://host/v1/api-key/hunter2/rows.jsonl",
    "https://host/apiKey/hunter2/rows.jsonl",
    "https://host/%74oken/hunter2",
    "https://host/token/hunter2?version=3",
    "https://host/secrets/hunter2abcdef0123456789",
    "https://host/access_tokens/ghp_hunter2aAbBcCdDeE1fF",
    "https://host/key:hunter2/rows",
    "https://host/token:hunter2",
    "https://maker.ifttt.com/trigger/done/with/key/hunter2",
    "https://hooks.slack.com/services/T000/B000/hunter2",
    "https://discord.com/api/webhooks/123456/hunter2",
    "https://discordapp.com/api/v10/webhooks/123456/hunter2",
    "https://corp.webhook.office.com/webhookb2/hunter2@x/IncomingWebhook/y",
    "https://hooks.zapier.com/hooks/catch/123/hunter2/",
    "https://api.telegram.org/bot123456:hunter2/sendMessage",
    "https://open.feishu.cn/open-apis/bot/v2/hook/hunter2",
    "org/name?token=hunter2",
    "org/name?revision=main&access_token=hunter2",
    "org/name#token=hunter2",
    "org/name@main?token=hunter2",
    "https:/user:hunter2@host/rows",
    "https:///user:hunter2@host/rows",
    "s3:hunter2@bucket/key",
    "https://host\\@user:hunter2@other/",
    "'https://user:hunter2@host/rows'",
    "<https://host/rows?token=hunter2>",
    "https://host/rows?token:hunter2",
    "https://host/rows?creds=hunter2",
    "https://chat.example.org/hooks/hunter2",
    "https://host/hooks/catch/123/hunter2",
    "https://host/incoming-webhook/hunter2",
    "https://flow.example.org/webhookb2/hunter2/x",
    "https://ntfy.example.org/hunter2",
    "https://hooks.example.org/T000/hunter2",
]
HARMLESS = [
    "https://host:8443/p?q",
    "https://host/p?version=2&author=me",
    "https://[::1]:8443/p",
    "s3://bucket/a/b?c#d",
    "gs://bucket/key=1/token=2/a",
    "org/name@revision",
    "Write https://x.org/?token=abc as a link.",
    "/path/with@sign:and=equals",
    "module:function",
    "https://host/data/keyboard/layout1",
    "https://host/tokenizers/llama2x/tokenizer.json",
    "https://host/tokenizers/0123456789abcdef0123456789abcdef",
    "https://host/code/python3/a1b2c3d4e5f6a1b2c3d4e5f6.jsonl",
    "https://host/auth/realms1/rows",
    "https://host/tokens/llama2-7b/rows.jsonl",
    "https://host/keys/part-0001/rows",
    "https://host/key/part1.jsonl",
    "https://host/key/v2",
    "https://host/token/2024-05-01",
    "https://host/secret/garden",
    "https://host/password/reset",
    "https://hooks.slack.com/",
    "https://host/hooks/refine",
    "https://host:8080/v1",
    "https://host/monkey/abc123",
    "https://host/time/12:30",
    "https://github.com/org/webhooks/blob/0123456789abcdef0123456789abcdef01234567/README.md",
    "https://webhooks.example.org/docs/v2-beta",
    "https://host/rows?credits=yes",
    "/data//rows@v2.jsonl",
    "https://host\\rows",
    "s3://bucket/code/x",
    "s3://bucket/token/hunter2",
    "/data/keyboard",
    "/tokenizers/x",
    "org/name",
    "org/tokenizer-8k",
    "data/what?.jsonl",
    "Is it and/or?token=1 here",
]


@pytest.mark.parametrize("address", FORMS)
def test_a_credential_is_found_in_every_form(address: str) -> None:
    assert credential_in(address)


def test_a_user_is_found_without_a_scheme() -> None:
    assert credential_in("//user:hunter2@host/rows")
    assert "hunter2" not in masked("see //user:hunter2@host/rows, and more")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_credential_is_taken(text: str) -> None:
    assert credential_in(text) == ""


@given(
    st.sampled_from(WORDS),
    st.text("abcxyz_-.", max_size=4),
    st.text("abcxyz_-.", max_size=4),
    st.sampled_from("?&#;"),
    st.data(),
)
def test_any_name_with_a_telling_word_is_found(
    word: str, before: str, after: str, mark: str, data: st.DataObject
) -> None:
    name = before + word + after
    encoded = "".join(
        f"%{ord(letter):02x}" if data.draw(st.booleans()) else letter for letter in name
    )
    address = f"https://host/a?b=c{mark}{encoded}=hunter2"
    assert credential_in(address)
    assert "hunter2" not in masked(f"see {address} for more")


@pytest.mark.parametrize("address", FORMS)
def test_a_message_shows_no_credential(address: str) -> None:
    shown = str(StorageError(f"{address}: cannot read: proxy {address!r} refused"))
    assert "hunter2" not in shown
    assert "ter2" not in shown
    assert "cannot read" in shown


def test_what_is_masked_can_still_be_read() -> None:
    assert masked("'https://me:x@host:80/rows?a=1&b=2'") == "'https://***@host:80/rows?a=***&b=***'"
    assert masked("s3://bucket/a?b=c and /tmp/x") == "s3://bucket/a?b=c and /tmp/x"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_credential_is_shown(text: str) -> None:
    if "?" not in text:
        assert masked(text) == text


ADDRESSES = [form for form in FORMS if "://" in form and form[0].isalpha() and "," not in form]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_location_with_a_credential_is_refused_unseen(address: str) -> None:
    with pytest.raises(ParameterError, match="holds a credential") as caught:
        locate(address)
    assert "ter2" not in str(caught.value)


TEXT_PARAMETERS = [
    (stage.command, name)
    for stage in STAGES
    for name, field in stage.params.model_fields.items()
    if field.annotation is str
]


@pytest.mark.parametrize(("command", "name"), TEXT_PARAMETERS)
def test_every_stage_refuses_a_credential_in_every_text_parameter(
    command: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = next(stage for stage in STAGES if stage.command == command)
    with pytest.raises(ParameterError, match=f"{stage.name}.{name} holds a credential") as caught:
        stage.params.parse({name: FORMS[0]}, where=stage.name)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", [FORMS[0], FORMS[4], FORMS[7], FORMS[10], FORMS[17]])
@pytest.mark.parametrize("command", ["compile", "run", "dry-run", "stage", "stage-input"])
def test_no_command_writes_or_prints_a_credential(
    command: str,
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    work = ["--work-dir", "work", "--outputs-dir", "out"]
    setting = ["--set", f"seeds_uri={address}"]
    arguments = {
        "compile": ["compile", "--preset", "smoke", "--to", "kfp", "--output", "p.yaml", *setting],
        "run": ["run", "--preset", "smoke", "--output-dir", "run", *setting],
        "dry-run": ["run", "--dry-run", "--preset", "smoke", "--output-dir", "run", *setting],
        "stage": ["seed-ingest", "--seeds-uri", address, *work],
        "stage-input": ["dedup-filter", "--candidates", address, *work],
    }[command]
    assert main(arguments) == 64
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    assert "holds a credential" in said.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    assert json.dumps([str(path) for path in written]) == "[]"
