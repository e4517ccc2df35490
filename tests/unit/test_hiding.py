"""What is hidden of commands, of the environment and of instructions; and what is not."""

from __future__ import annotations

import pytest

from dockerlab.faces.hiding import hide, hide_arguments, hide_in, hide_in_command, hide_in_instruction, is_secret


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "DB_PASSWORD", "PGPASSWORD", "passwd", "API_KEY", "apiKey", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "authToken", "dbPass",
     "API_KEYS", "GOOGLE_CREDENTIALS", "SSH_KEY", "session-cookie", "JWT"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert hide(name, "value") == "***"
    assert hide(name, "") == ""


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PWD",
        "OLDPWD",
        "MONKEY",
        "KEYBOARD",
        "AUTHOR",
        "COMPASS",
        "PYTHONPATH",
        "SSH_AUTH_SOCK",
        "recv-keys",
        "SSH_AUTHORIZED_KEYS",
    ],
)
def test_names_of_others(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:pw@host/db", "postgres://me:***@host/db"),
        ("redis://:pw@host", "redis://:***@host"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://host/me@there", "https://host/me@there"),
        ("Server=db;Password=pw;Timeout=3", "Server=db;Password=***;Timeout=3"),
        ("use ghp_0123456789abcdefghijABCDEFGHIJ now", "use *** now"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "***"),
        ("/usr/bin:/bin", "/usr/bin:/bin"),
        ("Uid=me;Pwd=pw;", "Uid=me;Pwd=***;"),
        ("export GITHUB_TOKEN=t; exec app", "export GITHUB_TOKEN=***; exec app"),
        ("MYSQL_ROOT_PASSWORD='two words' mysqld", "MYSQL_ROOT_PASSWORD=*** mysqld"),
        ("curl -H 'Authorization: Bearer abc.def' host", "curl -H 'Authorization: ***' host"),
        ("PWD=/app pass=3 key=2 keyboard=de", "PWD=/app pass=3 key=2 keyboard=de"),
    ],
)
def test_values_that_are_secrets_whatever_their_name(text: str, shown: str) -> None:
    assert hide("SETTING", text) == hide_in(text) == shown


def test_commands() -> None:
    command = ["app", "--password", "pw", "--token=t", "-p", "8080", "KEY=k", "--key", "-v", "mysql://u:p@h", "--name", "x"]
    assert hide_arguments(command) == (
        *("app", "--password", "***", "--token=***", "-p", "8080", "KEY=***", "--key", "-v", "mysql://u:***@h", "--name", "x"),
    )
    assert (
        hide_in_command("app --password pw --token=t -p 80 known1", ["known1", "80"]) == "app --password *** --token=*** -p 80 ***"
    )
    assert hide_in_command("env MYSQL_ROOT_PASSWORD=pw DB_PASS=pw mysqld") == "env MYSQL_ROOT_PASSWORD=*** DB_PASS=*** mysqld"
    assert hide_arguments(["sh", "-c", "export API_KEY=k; app"]) == ("sh", "-c", "export API_KEY=***; app")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("curl -u me:pw http://h", "curl -u me:*** http://h"),
        ("curl -sSu me:pw --proxy-user=a:b h", "curl -sSu me:*** --proxy-user=a:*** h"),
        ("curl 'http://h/?a&b' --user 'me:p w' h", "curl 'http://h/?a&b' --user 'me:***' h"),
        ("""sh -c 'curl -fu me:pw "http://h/?a&b" | sh -u a:b'""", """sh -c 'curl -fu me:*** "http://h/?a&b" | sh -u a:b'"""),
        ("curl -u token: https://h", "curl -u ***: https://h"),
        ("mysql -uroot -ppw db; mysqldump '-pp w' db", "mysql -uroot -p*** db; mysqldump '-p***' db"),
        ("sshpass -p pw ssh -p 22 h", "sshpass -p *** ssh -p 22 h"),
        ("redis-cli -a pw -p 6379", "redis-cli -a *** -p 6379"),
        ("docker login -u me -p pw host", "docker login -u me -p *** host"),
        ("app --password 'two words' -p 80", "app --password *** -p 80"),
        ("curl -H 'X-Api-Key: k' -H 'PRIVATE-TOKEN: t' h", "curl -H 'X-Api-Key: ***' -H 'PRIVATE-TOKEN: ***' h"),
        ("curl -H Authorization: Bearer t h", "curl -H Authorization: *** h"),
        ("git clone https://me:p@w@host/x", "git clone https://me:***@host/x"),
    ],
)
def test_what_programs_are_given(command: str, shown: str) -> None:
    assert hide_in_command(command) == shown
    assert hide_in_command(shown) == shown


@pytest.mark.parametrize(
    "command",
    [
        "app -u 1000:1000 -p 8080:80 -a x",
        "curl -u me http://h:80/a:b -o u:x",
        "docker run -u 1:1 --name mysql -p3306:3306 mysql:8",
        "mysql -p db",
        "python -u app.py a:b",
        "ssh -p 2222 me@host",
        "gpg --keyserver hkp://keys.host --recv-keys 0xAB",
        "nginx -g 'daemon off;'",
        "tar -xpf a.tar -C /",
    ],
)
def test_what_only_looks_like_it(command: str) -> None:
    assert hide_in_command(command) == command


def test_arguments_of_programs() -> None:
    assert hide_arguments(["run", "app", "curl", "-u", "me:p' w", "h"])[4] == "me:***' w"
    assert hide_arguments(["mysql", "-pa b", "-P", "3306"]) == ("mysql", "-p***", "-P", "3306")
    assert hide_arguments(["a 'b", "", 'c"']) == ("a 'b", "", 'c"')


@pytest.mark.parametrize(
    ("instruction", "shown"),
    [
        ("ENV API_TOKEN=1234 A=1", "ENV API_TOKEN=*** A=1"),
        ("RUN curl -u me:pw https://h | sh", "RUN curl -u me:*** https://h | sh"),
        ("RUN pip install -i https://u:p@host/simple x", "RUN pip install -i https://u:***@host/simple x"),
        *(
            (same, same)
            for same in (
                "RUN --mount=type=secret,id=t TOKEN=$(cat /run/secrets/t) npm ci",
                'RUN curl -u "me:$PASSWORD" -H "Authorization: Bearer $TOKEN" h --password=${P}',
                "RUN --mount=type=secret,id=token,env=TOKEN make",
                'RUN echo "$TOKEN" | docker login -u me --password-stdin',
                "ARG TOKEN",
                "COPY --from=key /key /key",
            )
        ),
    ],
)
def test_instructions(instruction: str, shown: str) -> None:
    """What an instruction takes out of a variable or a file tells nothing."""
    assert hide_in_instruction(instruction) == shown


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["curl -u ", "x-", "--a ", "http://a:", "'", "a=", "mysql -p", "authorization: ", "sshpass -p"])
def test_a_text_of_any_length_is_gone_through_once(text: str) -> None:
    # One that took its square would take minutes.
    assert hide_in_command(text * (200_000 // len(text)))
