"""Who is let in, by what, and that nobody else ever hears the password."""

from __future__ import annotations

import base64
import io
import logging
import shutil
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest

from cxr_lightning import cli
from cxr_lightning.download.credentials import Login, login_for
from cxr_lightning.download.trouble import AccessError, DownloadError, LostError
from cxr_lightning.download.web import AGENT, Server, Web
from tests.download.archive import PASSWORD, USER, Archive, serving
from tests.download.conftest import published, tree

pytestmark = pytest.mark.quick
BOTH = ("mimic-cxr-jpg/2.1.0", "mimic-cxr/2.1.0")
SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


@pytest.fixture
def guarded(archive):
    archive.password = (USER, PASSWORD)
    return archive


@pytest.fixture
def everything(caplog, capfd):
    """All that was ever said, at every level of every library."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "cxr_lightning"):
        caplog.set_level(logging.DEBUG, logger=name)

    def said() -> str:
        captured = capfd.readouterr()
        return captured.out + captured.err + caplog.text

    return said


def test_a_password_of_netrc_lets_in(guarded, fetch, netrc):
    netrc()
    assert tree(fetch()) == published(guarded, *BOTH)


def test_it_is_told_only_once_it_is_asked_for(guarded, fetch, netrc):
    """And the cookie of the first answer comes back, which spares the server a hash per file."""
    netrc()
    fetch(parallel=1)
    asked = [headers for _, headers in guarded.asked]
    assert sum("authorization" not in headers for headers in asked) == 2  # the lists' connection, and the images'
    assert {headers.get("cookie") for headers in asked if "authorization" in headers} == {"testcookie=1"}


def test_a_server_that_does_not_ask_hears_nothing(archive, fetch, netrc):
    netrc()
    fetch()
    assert not any("authorization" in headers for _, headers in archive.asked)


def test_nobody_reads_it_in_what_is_said(guarded, netrc, tmp_path, everything):
    netrc(mode=0o644)
    words = ["download", "mimic-cxr-jpg", "--out", str(tmp_path / "out"), "--base_url", guarded.url]
    assert cli.run(words) == 0
    guarded.files.pop(next(path for path in guarded.files if path.endswith(".jpg")))
    assert cli.run([*words[:3], str(tmp_path / "other"), *words[4:]]) == 1
    guarded.password = (USER, "another")
    assert cli.run([*words[:3], str(tmp_path / "third"), *words[4:]]) == 1
    said = everything()
    assert "does not take this user name and password" in said
    assert "can be read by other users" in said
    assert not [secret for secret in SECRETS if secret in said]
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and ".netrc" not in file.name]
    assert not [file for file in kept if any(secret.encode() in file.read_bytes() for secret in SECRETS)]


def test_a_wrong_password_is_told_once_and_not_tried_again(guarded, fetch, netrc):
    netrc(f"machine 127.0.0.1 login {USER} password wrong\n")
    with pytest.raises(AccessError, match=r"does not take .* \(401\)"):
        fetch()
    assert sum("authorization" in headers for _, headers in guarded.asked) == 1


def test_a_password_that_ends_to_be_taken_ends_all(guarded, fetch, netrc):
    netrc()
    fetch(tables_only=True)
    guarded.password = (USER, "another")
    with pytest.raises(AccessError, match="does not take"):
        fetch(parallel=3)
    assert sum("authorization" in headers for _, headers in guarded.asked[-20:]) <= 12


def test_without_a_password_the_remedy_is_told(guarded, fetch):
    with pytest.raises(AccessError, match=r"machine 127\.0\.0\.1 login NAME.*content/mimic-cxr-jpg/2\.1\.0/"):
        fetch()


def test_default_of_netrc_is_for_nobody(guarded, fetch, netrc):
    netrc(f"default login {USER} password {PASSWORD}\n")
    with pytest.raises(AccessError, match="none is known"):
        fetch()


def test_a_spoilt_netrc_does_not_tell_its_password(netrc):
    netrc(f"machine 127.0.0.1 login {USER}\n{PASSWORD} password\n")
    with pytest.raises(AccessError, match=r"\.netrc: line \d cannot be understood") as caught:
        login_for("127.0.0.1")
    assert PASSWORD not in str(caught.value)


def test_netrc_may_stand_elsewhere(tmp_path, monkeypatch):
    file = tmp_path / "elsewhere"
    file.write_text(f"machine physionet.org login {USER} password {PASSWORD}")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    found = login_for("physionet.org")
    assert found is not None
    assert (found.user, found.password) == (USER, PASSWORD)
    assert PASSWORD not in repr(found)
    assert login_for("physionet.org.example") is None


def test_a_terminal_is_asked(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("someone\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"of {prompt}")
    found = login_for("physionet.org")
    assert found == Login("someone", "of Password of someone at physionet.org: ")
    monkeypatch.setenv("PHYSIONET_USERNAME", "another")
    assert login_for("physionet.org").user == "another"


def test_an_address_with_a_password_is_refused_without_repeating_it(tmp_path, capsys):
    words = [
        "download",
        "mimic-cxr",
        "--out",
        str(tmp_path / "out"),
        "--base_url",
        f"https://{USER}:{PASSWORD}@physionet.org",
    ]
    assert cli.run(words) == 1
    said = capsys.readouterr().err
    assert "holds a user name or password" in said
    assert "s3cret" not in said


def test_a_redirect_elsewhere_goes_without_it(guarded, fetch, netrc):
    netrc(f"machine 127.0.0.1 login {USER} password {PASSWORD}\nmachine localhost login {USER} password {PASSWORD}\n")
    image = next(path for path in guarded.files if path.endswith(".jpg"))
    with serving(Archive()) as elsewhere:
        elsewhere.files[image] = guarded.files[image]
        guarded.redirects[image] = f"http://localhost:{urlsplit(elsewhere.url).port}{image}"
        assert tree(fetch()) == published(guarded, *BOTH)
        assert elsewhere.asked
        assert not any("authorization" in headers for _, headers in elsewhere.asked)
        assert not any(headers.get("cookie") for _, headers in elsewhere.asked)


def test_elsewhere_may_ask_and_hears_nothing(guarded, fetch, netrc):
    netrc()
    image = next(path for path in guarded.files if path.endswith(".jpg"))
    with serving(Archive()) as elsewhere:
        elsewhere.password = (USER, PASSWORD)
        guarded.redirects[image] = f"{elsewhere.url}{image}"  # the same host, and another port
        with pytest.raises(DownloadError, match=r"sends on to another, which refuses \(HTTP 401\)"):
            fetch(only="*.jpg", parallel=1)
        assert not any("authorization" in headers for _, headers in elsewhere.asked)


def test_no_password_goes_without_tls():
    web = Web(Server("http://physionet.org/files"), threading.Event())
    with pytest.raises(AccessError, match="without TLS; none is told"):
        web._introduce('Basic realm="PhysioNet"')


def test_a_redirect_does_not_lead_out_of_tls():
    web = Web(Server("https://physionet.org/files"), threading.Event())
    assert web._onward("https://physionet.org/a", "/b") == "https://physionet.org/b"
    with pytest.raises(LostError, match="without TLS"):
        web._onward("https://physionet.org/a", "http://physionet.org/a")


def test_another_proof_than_a_password_is_not_known(netrc):
    netrc()
    web = Web(Server("http://127.0.0.1:1"), threading.Event())
    with pytest.raises(AccessError, match="another kind of proof"):
        web._introduce('Digest realm="x", nonce="y"')


@pytest.fixture
def over_tls(guarded, tmp_path):
    """The same files behind a certificate of our own, which nobody trusts yet."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "both.pem").write_text(key.read_text() + certificate.read_text())
    with serving(guarded, tmp_path / "both.pem") as archive:
        yield archive, certificate


def test_a_password_over_tls(over_tls, fetch, netrc, monkeypatch):
    archive, certificate = over_tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    netrc()
    assert tree(fetch(parallel=3)) == published(archive, *BOTH)


def test_a_server_that_nobody_vouches_for_hears_no_password(over_tls, fetch, netrc):
    archive, _ = over_tls
    netrc()
    with pytest.raises(DownloadError, match=r"certificate is not trusted .* SSL_CERT_FILE"):
        fetch()
    assert not archive.asked


def test_who_did_not_sign_is_told_where(archive, fetch, netrc):
    netrc()
    archive.password = (USER, PASSWORD)
    fetch(tables_only=True)
    archive.password = None
    archive.agents = "nobody"
    with pytest.raises(AccessError, match=r"\(403\).*become a credentialed user.*data use agreement"):
        fetch()


def test_we_say_who_we_are(archive, fetch):
    fetch(tables_only=True)
    assert {headers["user-agent"] for _, headers in archive.asked} == {AGENT}
    assert AGENT.startswith("cxr-lightning/")


@pytest.fixture
def choosy(guarded):
    """As PhysioNet is: a password is asked of some programs only, and others are refused."""
    guarded.agents = "Wget/|libwfdb/"
    return guarded


def test_wget_goes_where_we_are_not_asked(choosy, fetch, netrc, caplog, everything):
    netrc()
    out = fetch(limit=5, parallel=2)
    names = set(tree(out))
    assert len(names) == 3 + 5
    assert tree(out) == {name: data for name, data in published(choosy, *BOTH).items() if name in names}
    said = everything()
    assert "going by Wget" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_wget_goes_on_after_cuts(choosy, fetch, netrc):
    netrc()
    name, data = max(published(choosy).items(), key=lambda each: len(each[1]))
    limits = iter([7000, 12000, 100, 0])
    choosy.cut = lambda length: next(limits, None) if length > 10_000 else None
    assert tree(fetch(only=name, parallel=1)) == {name: data}
    assert choosy.sent < len(data) + 20_000  # and the list


def test_wget_begins_anew_where_there_are_no_ranges(choosy, fetch, netrc):
    netrc()
    name, data = max(published(choosy).items(), key=lambda each: len(each[1]))
    choosy.ranges, limits = False, iter([7000, 12000])
    choosy.cut = lambda length: next(limits, None) if length > 10_000 else None
    assert tree(fetch(only=name, parallel=1)) == {name: data}


def test_wget_takes_no_other_bytes_than_published(choosy, fetch, netrc):
    netrc()
    name = next(path for path in choosy.files if path.endswith(".jpg"))
    choosy.files[name] = b"other"
    with pytest.raises(DownloadError, match="another checksum"):
        fetch(only=name.removeprefix("/mimic-cxr-jpg/2.1.0/"))


def test_wget_with_a_wrong_password_ends(choosy, fetch, netrc):
    netrc(f"machine 127.0.0.1 login {USER} password wrong\n")
    with pytest.raises(AccessError, match=r"does not take|may not read"):
        fetch()


def test_without_wget_the_ways_are_told(choosy, fetch, netrc, monkeypatch):
    netrc()
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(AccessError, match=r"install wget.*--cookies FILE"):
        fetch()


@pytest.fixture
def cookies(tmp_path):
    def write(value: str):
        file = tmp_path / "cookies.txt"
        file.write_text(f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t2000000000\tsessionid\t{value}\n")
        file.chmod(0o600)
        return file

    return write


def test_a_browsers_session_lets_in(archive, fetch, cookies):
    archive.session = "abc123"
    assert tree(fetch(cookies=cookies("abc123"))) == published(archive, *BOTH)


def test_a_session_that_ended_is_told(archive, fetch, cookies, everything):
    archive.session = "abc123"
    with pytest.raises(AccessError, match="the session has ended"):
        fetch(cookies=cookies("old-value"))
    assert "old-value" not in everything()


def test_cookies_of_another_format_are_told_without_quoting_them(fetch, tmp_path):
    file = tmp_path / "cookies.txt"
    file.write_text("sessionid=abc123")
    with pytest.raises(AccessError, match="not in Netscape's format") as caught:
        fetch(cookies=file)
    assert "abc123" not in str(caught.value)
