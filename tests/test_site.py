"""Patients' films and texts stay on this machine and its private network, unless the user says otherwise."""

from __future__ import annotations

import logging

import pytest

from cxr_lightning.site import OffSiteError, is_on_site, require_on_site

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("host", "on_site"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("10.1.2.3", True),
        ("192.168.0.7", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("8.8.8.8", False),
        ("::1", True),
        ("fd00::1", True),
        ("::ffff:8.8.8.8", False),
        ("::ffff:10.0.0.1", True),
        ("2001:4860:4860::8888", False),
        ("no-such-host.invalid", False),
        ("a" * 300, False),
    ],
)
def test_private_addresses_are_told_from_others(host, on_site):
    assert is_on_site(host) is on_site


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/v1", "https://me:127.0.0.1@8.8.8.8", "http://[2001:4860:4860::8888]:80"]
)
def test_what_is_patients_leaves_only_if_the_user_says_so(url, caplog):
    with pytest.raises(OffSiteError, match=r"is neither this machine.*and films would go there.*--may_leave_site true"):
        require_on_site(url, allowed=False, what="films")
    with caplog.at_level(logging.WARNING):
        require_on_site(url, allowed=True, what="films")
    assert ": films." in caplog.text


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://8.8.8.8@localhost/v1", "http://[::1]:8000", "words", ""]
)
def test_what_stays_is_let_through_and_what_names_no_server_is_told_by_who_opens_it(url, caplog):
    require_on_site(url, allowed=False, what="films")
    assert caplog.text == ""


def test_a_name_is_of_the_site_only_if_all_its_addresses_are(monkeypatch):
    found = [(0, 0, 0, "", (address, 0)) for address in ("10.0.0.1", "1.1.1.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port: found)
    with pytest.raises(OffSiteError, match=r"judge\.hospital\.example is neither"):
        require_on_site("http://judge.hospital.example/v1", allowed=False, what="films")
